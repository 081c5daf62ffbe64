"""Reading official and own checkpoints without running any code that they carry."""
