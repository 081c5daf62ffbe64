"""How fast work goes here, all that shares the machine included."""

from __future__ import annotations

from collections.abc import Callable

WINDOW = 2.0
"""Seconds of one measurement."""
_WEIGHT = 0.1
_MOST_CHANGE = 3.0
"""A measurement counts as at most so many times the mean: a Sampler that starts again stands still for a while."""


class Pace:
    """Seconds that a second of expected work takes, as a running mean over the time in which there was work.

    Above 1 where jobs, other HTTP processes or other programs take their part, below 1 where there are several lanes or
    GPUs. Expected work is what a sample's steps take by measured step times.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.value = 1.0
        self._first = True
        self._clock = clock
        self._since: float | None = None
        self._elapsed = self._done = 0.0

    def busy(self, is_busy: bool) -> None:
        """Says whether there is work; time without does not count."""
        if is_busy and self._since is None:
            self._since = self._clock()
        elif not is_busy and self._since is not None:
            self._elapsed += self._clock() - self._since
            self._since = None

    def observe(self, done: float) -> None:
        """Takes in that so many seconds of expected work are done."""
        self._done += done
        self.busy(False)
        self.busy(True)
        if self._elapsed < WINDOW or self._done <= 0:
            return
        measured = min(max(self._elapsed / self._done, self.value / _MOST_CHANGE), self.value * _MOST_CHANGE)
        self.value = measured if self._first else self.value + _WEIGHT * (measured - self.value)
        self._first = False
        self._elapsed = self._done = 0.0
