"""scripts/generate: prompts become files and pictures, with the help of a running service."""
