"""scripts/make_checkpoint: random weights in the official layout, to try things without the official weights."""
