"""Training of the demo models on procedural shapes."""
