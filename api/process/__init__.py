"""How a process of the service starts, keeps its place, and ends."""
