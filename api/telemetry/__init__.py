"""What the service tells about itself: figures, log lines, spans."""
