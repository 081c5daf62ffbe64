"""How long a generation will take by measured step times, and whether it can end in time."""

from __future__ import annotations

from collections.abc import Mapping

from api.errors import TooSlow
from api.messages import Progress
from api.schemas import GenerateRequest, fine_steps_of
from models.presets import Network, model_of

FIXED_SECONDS = 0.5
"""Allowance for text, decoding and writing in an estimate."""


def estimate(steps: int, fine_steps: int, step_seconds: Mapping[str, float], network: Network = "standard") -> float:
    """Seconds that a generation takes when it has the models for itself: the `work_left` at its begin."""
    return work_left(Progress(steps=steps, network=network), step_seconds, fine_steps)


def step_of(stage: str, network: Network, step_seconds: Mapping[str, float]) -> float:
    """Seconds of a denoising step, by measured step times; 0 as long as nothing was measured.

    As long as no step of a student was measured, one counts as much as its teacher's; and as long as no fine step was,
    one counts as much as a coarse step.
    """
    names = (model_of(stage, network), stage, "coarse")
    return next((step_seconds[name] for name in names if name in step_seconds), 0.0)


def fit_seconds(steps: int, step_seconds: Mapping[str, float]) -> float:
    """Seconds that so many steps to the latent of a given shape take.

    One counts as much as a coarse step as long as none was measured.
    """
    return steps * step_seconds.get("fit", step_seconds.get("coarse", 0.0))


def work_left(progress: Progress, step_seconds: Mapping[str, float], fine_steps: int) -> float:
    """Seconds of work that are left of a generation, by measured step times; 0 as long as nothing was measured.

    Args:
        progress: How far it is.
        step_seconds: Seconds of a step by the name of the model.
        fine_steps: Steps of its fine stage; 0 where it has none.
    """
    if not step_seconds.get("coarse"):
        return 0.0
    left = step_of(progress.stage, progress.network, step_seconds) * (progress.steps - progress.step)
    if progress.stage == "coarse":
        left += step_of("fine", progress.network, step_seconds) * fine_steps
    return left + FIXED_SECONDS


def check_deadline(
    request: GenerateRequest, step_seconds: Mapping[str, float], *, fine_model: bool, deadline: float
) -> None:
    """Refuses a request that cannot end in time even alone.

    Raises:
        TooSlow: the text names the number of steps that would fit.
    """
    steps, fine_steps = request.coarse_steps, fine_steps_of(request) if fine_model else 0
    fixed = FIXED_SECONDS + fit_seconds(request.fit_steps, step_seconds)
    expected = estimate(steps, fine_steps, step_seconds, request.network) - FIXED_SECONDS + fixed
    if expected <= deadline:
        return
    share = max(0.0, (deadline - fixed) / (expected - fixed))
    fitting, fitting_fine = int(steps * share), int(fine_steps * share)
    named = and_fine = ""
    if fine_steps and request.fine_steps is not None:  # not as many as the coarse stage has, but its own
        named, and_fine = f" and {fine_steps} fine ones", f" and {fitting_fine} fine ones"
        fitting = fitting if fitting_fine else 0
    remedy = f"ask for at most {fitting} steps{and_fine}" if fitting else "set use_fine to false or use a faster server"
    raise TooSlow(
        f"{steps} steps{named} would take about {expected:.0f} s here, more than the {deadline:.0f} s a request "
        f"may take: {remedy}, or send it as a job."
    )
