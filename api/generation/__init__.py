"""One generation, from a request to a result: a place in the queue, slices of work, events."""
