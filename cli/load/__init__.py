"""scripts/load: puts load on a running service, with many users and mixed parameters."""
