"""Measured step times, and what follows from them: how long a slice is, whether a request can end in time."""

from __future__ import annotations

import math
from collections.abc import Mapping

from api.errors import TooSlow
from api.schemas import GenerateRequest

_WEIGHT = 0.2
FIXED_SECONDS = 0.5
"""Allowance for text, decoding and writing in an estimate."""


class StepTimes:
    """Running means of the seconds that one denoising step takes, by stage: of one sample, and of one of its voxels."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._by_voxel: dict[str, float] = {}

    def observe(self, stage: str, steps: int, voxels: int, seconds: float) -> None:
        """Takes in what a batch took.

        Args:
            steps: Steps counted over all samples.
            voxels: Steps counted over all voxels of all samples.
        """
        if steps > 0:
            for means, new in ((self.seconds, seconds / steps), (self._by_voxel, seconds / voxels)):
                old = means.get(stage, new)
                means[stage] = old + _WEIGHT * (new - old)

    def steps_within(self, stage: str, voxels: int, seconds: float) -> int:
        """How many steps of samples with so many voxels in all fit a time, at least one; one if that is unknown."""
        step = self._by_voxel.get(stage)
        return max(1, int(seconds / (step * voxels))) if step else 1

    def voxels_within(self, stage: str, seconds: float) -> float:
        """How many voxels can take one step in a time; without bound as long as nothing was measured."""
        step = self._by_voxel.get(stage)
        return seconds / step if step else math.inf

    def forget(self, stage: str | None = None) -> None:
        """Begins to measure anew: one stage, or all."""
        for means in (self.seconds, self._by_voxel):
            for name in list(means) if stage is None else [stage]:
                means.pop(name, None)


def estimate(steps: int, step_seconds: Mapping[str, float], *, fine: bool) -> float:
    """Seconds that a generation takes when it has the models for itself; 0 as long as nothing was measured."""
    step = _seconds_of_a_step(step_seconds, fine=fine)
    return step * steps + FIXED_SECONDS if step else 0.0


def check_deadline(
    request: GenerateRequest, step_seconds: Mapping[str, float], *, fine_model: bool, deadline: float
) -> None:
    """Refuses a request that cannot end in time even alone.

    Raises:
        TooSlow: the text names the number of steps that would fit.
    """
    fine = request.use_fine and fine_model
    expected = estimate(request.ddim_steps, step_seconds, fine=fine)
    if expected <= deadline:
        return
    step = _seconds_of_a_step(step_seconds, fine=fine)
    fitting = max(0, int((deadline - FIXED_SECONDS) / step))
    remedy = f"ask for at most {fitting} steps" if fitting else "set use_fine to false or ask a faster server"
    raise TooSlow(
        f"{request.ddim_steps} steps would take about {expected:.0f} s here, more than the {deadline:.0f} s a request "
        f"may take: {remedy}, or send it to /jobs."
    )


def _seconds_of_a_step(step_seconds: Mapping[str, float], *, fine: bool) -> float:
    return step_seconds.get("coarse", 0.0) + (step_seconds.get("fine", 0.0) if fine else 0.0)
