"""Load on a running service: many users, mixed parameters, for a time (scripts/load)."""
