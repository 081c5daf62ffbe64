"""A given shape on the way to its latent, slice by slice."""

from __future__ import annotations

import time
from dataclasses import replace

from api.messages import Fitted
from api.sampler.step_times import StepTimes
from models.fitting import Fit, Fitting, told
from models.shape import Voxels
from models.stages import CoarseStage

STAGE = "fit"
"""The name of its steps among those of the stages."""


def fit_on(stage: CoarseStage, voxels: Voxels, fit: Fit | None, times: StepTimes, seconds: float, tags: str) -> Fitted:
    """A fit as many steps further as take about so long, and at its end the state that was found.

    Args:
        stage: Whose latent is looked for.
        voxels: The given shape.
        fit: How far it is; None begins.
        times: Where the time of a step is known, and noted.
        seconds: How long the slice should be.
        tags: Names the weights of all models.
    """
    fitting = Fitting(stage, voxels)
    before = fitting.start() if fit is None else fit
    count = len(before.latent)
    begun = time.perf_counter()
    after = replace(fitting.advance(before, times.steps_within(STAGE, count, seconds)), weights=tags)
    taken = after.step - before.step
    times.observe(STAGE, taken, taken * count, time.perf_counter() - begun)
    if not after.done:
        return Fitted(fit=after.to_bytes(), step=after.step)
    warnings = told(fitting.likeness(after))
    return Fitted(step=after.step, latent=fitting.finished(after).to_bytes(), warnings=warnings)
