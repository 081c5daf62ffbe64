"""What the wire sees: settings, schemas, errors, limits, and the way of a request through the two services."""
