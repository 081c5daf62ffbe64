"""scripts/generate: turns prompts into files and pictures, with a running service."""
