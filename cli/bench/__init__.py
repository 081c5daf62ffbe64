"""scripts/bench: how fast a denoising step is, optimisation by optimisation, and how much memory it takes."""
