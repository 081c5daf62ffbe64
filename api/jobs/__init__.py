"""Generations that nobody waits for: kept in a database, run when there is room, fetched later."""
