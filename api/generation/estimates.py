"""How long a generation will take by measured step times, and whether it can end in time."""

from __future__ import annotations

from collections.abc import Mapping

from api.errors import TooSlow
from api.messages import Progress
from api.schemas import GenerateRequest

FIXED_SECONDS = 0.5
"""Allowance for text, decoding and writing in an estimate."""


def estimate(steps: int, step_seconds: Mapping[str, float], *, fine: bool) -> float:
    """Seconds that a generation takes when it has the models for itself; 0 as long as nothing was measured."""
    step = _seconds_of_a_step(step_seconds, fine=fine)
    return step * steps + FIXED_SECONDS if step else 0.0


def work_left(progress: Progress, step_seconds: Mapping[str, float], *, fine: bool) -> float:
    """Seconds of work that are left of a generation, by measured step times; 0 as long as nothing was measured.

    As long as no fine step was measured, one counts as much as a coarse step.

    Args:
        progress: How far it is.
        step_seconds: Seconds of a step by stage.
        fine: Whether it has a fine stage.
    """
    coarse = step_seconds.get("coarse", 0.0)
    if not coarse:
        return 0.0
    of_stage = {"coarse": coarse, "fine": step_seconds.get("fine", coarse)}
    left = of_stage[progress.stage] * (progress.steps - progress.step)
    if fine and progress.stage == "coarse":
        left += of_stage["fine"] * progress.steps
    return left + FIXED_SECONDS


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
    remedy = f"ask for at most {fitting} steps" if fitting else "set use_fine to false or use a faster server"
    raise TooSlow(
        f"{request.ddim_steps} steps would take about {expected:.0f} s here, more than the {deadline:.0f} s a request "
        f"may take: {remedy}, or send it as a job."
    )


def _seconds_of_a_step(step_seconds: Mapping[str, float], *, fine: bool) -> float:
    return step_seconds.get("coarse", 0.0) + (step_seconds.get("fine", 0.0) if fine else 0.0)
