"""What each key may have in a time: counted by a bucket that fills steadily, for all HTTP processes of a service."""

from __future__ import annotations

import time
from collections.abc import Callable

from api.clients import Client, Quota
from api.errors import Forbidden, QuotaExceeded
from api.process.shared_state import SharedState

MINUTE, DAY = 60.0, 86_400.0


class Quotas:
    """Buckets, each of which holds what a key may have at once and fills again within a minute or a day.

    Args:
        state: Where the processes of a service keep what is in the buckets.
        clock: Seconds that never go back, the same in all of these processes.
    """

    def __init__(self, state: SharedState, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._clock = clock

    def spend(self, client: Client, steps: int) -> None:
        """Takes one request with so many denoising steps out of a client's buckets, or nothing.

        Raises:
            QuotaExceeded: It has to wait.
            Forbidden: It may never have as much.
        """
        needs = _needs(client.quota, 1, steps)
        if not needs:
            return
        for kind, (need, most, _) in needs.items():
            if need > most:
                raise Forbidden(f"This key may have {most} {kind}, and the request needs {need}: ask for fewer steps.")
        with self._state.changing() as state:
            now, buckets = self._clock(), {}
            for kind, (need, most, seconds) in needs.items():
                left = self._left(state, client, kind, most, seconds, now)
                if left < need:
                    raise QuotaExceeded(
                        f"This key may have {most} {kind}: try again later.", retry_after=(need - left) * seconds / most
                    )
                buckets[f"{client.name}/{kind}"] = [left - need, now]
            state.update(buckets)

    def give_back(self, client: Client, steps: int) -> None:
        """Puts a request back that was refused for another reason."""
        needs = _needs(client.quota, 1, steps)
        if not needs:
            return
        with self._state.changing() as state:
            now = self._clock()
            for kind, (need, most, seconds) in needs.items():
                left = self._left(state, client, kind, most, seconds, now)
                state[f"{client.name}/{kind}"] = [min(most, left + need), now]

    def _left(
        self, state: dict[str, list[float]], client: Client, kind: str, most: int, seconds: float, now: float
    ) -> float:
        left, since = state.get(f"{client.name}/{kind}", [float(most), now])
        return min(most, left + max(0.0, now - since) * most / seconds)


def _needs(quota: Quota, requests: int, steps: int) -> dict[str, tuple[int, int, float]]:
    """By kind: what a request needs, the most there is, and the seconds in which that comes again."""
    limits = {
        "requests a minute": (requests, quota.requests_per_minute, MINUTE),
        "steps a day": (steps, quota.steps_per_day, DAY),
    }
    return {kind: (need, most, seconds) for kind, (need, most, seconds) in limits.items() if most is not None}
