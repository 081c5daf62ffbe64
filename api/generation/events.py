"""What happens in a generation, as it happens: its place in the queue, its slices, its coarse shape."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from api.messages import Progress
from models.presets import Network, model_of


@dataclass(frozen=True)
class Queued:
    """The generation's place in the queue has changed: 1 is the next one, 0 runs."""

    position: int


@dataclass(frozen=True)
class Stepped:
    """A slice ended. `seconds_left` until the result is an estimate, None as long as nothing was measured."""

    progress: Progress
    seconds_left: float | None


@dataclass(frozen=True)
class CoarseMade:
    """The coarse stage ended with packed `voxels`; `fine` is the first state of the fine stage, if there is one."""

    voxels: bytes
    fine: Progress | None


@dataclass(frozen=True)
class Previewed:
    """What the coarse shape seems to become, as packed `voxels`."""

    voxels: bytes


Event = Queued | Stepped | CoarseMade | Previewed
Report = Callable[[Event], None]


def ignore(_: Event) -> None:
    """For generations that nobody watches."""


class Remaining:
    """Estimates how long a generation still takes, from the time that its own steps took so far."""

    def __init__(self, step_seconds: Mapping[str, float], fine_steps: int) -> None:
        self._expected = step_seconds
        self._fine_steps = fine_steps
        self._stage = ""
        self._first = 0
        self._since = 0.0

    def seconds(self, progress: Progress) -> float | None:
        """Seconds until the end, at a slice's end or, for the first call in a stage, at the stage's start."""
        now = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._first, self._since = progress.stage, progress.step, now
        expected = self._step_of(progress.stage, progress.network)
        taken = progress.step - self._first
        step = (now - self._since) / taken if taken else expected
        if step is None:
            return None
        left = step * (progress.steps - progress.step)
        if progress.stage == "coarse":
            slowdown = step / expected if expected else 1.0
            fine = self._step_of("fine", progress.network)
            left += self._fine_steps * (step if fine is None else fine) * slowdown
        return left

    def _step_of(self, stage: str, network: Network) -> float | None:
        return self._expected.get(model_of(stage, network), self._expected.get(stage))
