"""The store of several services: PostgreSQL, and a bucket or a folder that they share."""
