"""Which processes have died, told by one clock: that of the process that looks, and no other's."""

from __future__ import annotations

from collections.abc import Mapping

LEASE_SECONDS = 10.0
"""A job whose owner has not beaten for so long may be taken up by another."""
LONGEST_GAP = 5.0
"""Seconds between two looks, beyond which nothing is known about the time between them."""
Beats = Mapping[str, tuple[str, int]]


class Watch:
    """Looks at the beats of other owners' jobs, again and again.

    A beat is a number that rises: when it stands still between looks that follow one another closely, its owner is
    dead. After a time in which nobody could look, the owners have had no chance to beat either, and all counts anew.
    """

    def __init__(self) -> None:
        self._last = float("-inf")
        self._since: dict[str, tuple[tuple[str, int], float]] = {}

    def look(self, beats: Beats, now: float) -> dict[str, tuple[str, int]]:
        """The jobs of dead owners, with their last beats.

        Args:
            beats: Of each job its owner, and how often that has beaten.
            now: Seconds on the monotonic clock.
        """
        if now - self._last > LONGEST_GAP:
            self._since.clear()
        self._last = now
        before = self._since
        self._since = {}
        for id_, beat in beats.items():
            seen, since = before.get(id_, (beat, now))
            self._since[id_] = (beat, since if seen == beat else now)
        return {id_: beat for id_, (beat, since) in self._since.items() if now - since >= LEASE_SECONDS}
