"""scripts/make_checkpoint: random weights in the official layout, for trials without the official weights."""
