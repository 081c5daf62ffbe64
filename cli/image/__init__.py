"""Container images of the service."""
