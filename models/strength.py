"""How much of a run a variation takes. Loads no torch."""

from __future__ import annotations

import math

DEFAULT_STRENGTH = 0.5
FIT_STEPS = 60
"""Steps in which the latent of a given shape is looked for, see `models.fitting`."""


def steps_taken(steps: int, strength: float) -> int:
    """Denoising steps of a variation: `strength`, above 0 to 1, is their share of a run of `steps`; at least one."""
    return min(steps, max(1, math.ceil(steps * strength - 1e-9)))
