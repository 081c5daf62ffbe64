"""xcube-mcp: a server of the Model Context Protocol, with which assistants make shapes at a running service."""
