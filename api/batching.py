"""Adaptive batching: what waits while calls are under way goes together into the next one.

The HTTP process sends the slices of many generations in few calls, and the Sampler shares out what it was sent among
its lanes. A call has only samples that are computed together: all coarse ones, small fine ones of about a size, or one
large fine one, which takes many steps in one go while no state of another travels to wait for it.

BentoML's own batching runs one batch at a time, so a GPU waits while results travel, and it learns a waiting time from
a queue, then holds even a lone call for that long. Eight requests at once took 1.9 to 2.8 times as long that way, and a
lone one after them 8 times (20 steps of a model of the demo's size on two busy CPU cores, in turn).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import accumulate

from api.messages import MOST_BYTES, MOST_SAMPLES, Progress, Slice

Send = Callable[[list[Slice]], Awaitable[list[Progress]]]


@dataclass(frozen=True, eq=False)
class _Waiting:
    item: Slice
    progress: asyncio.Future[Progress]


class Batcher:
    """Groups slices into calls of `send`, of which at most `concurrent` are under way at a time.

    Who has waited longest goes first, and those go with it that are computed together with it.

    A call has at most MOST_SAMPLES states, and no more than MOST_BYTES of them.

    One call a lane keeps all of them busy. `concurrent` may change at any time; calls that are under way go on.

    Args:
        send: Takes a call's slices a few steps further.
        concurrent: Calls under way at a time.
        even: Whether a call takes an equal share of all samples, so that several calls stay evenly full, or whatever
            waits.
    """

    def __init__(self, send: Send, concurrent: int = 1, *, even: bool = True) -> None:
        self._send = send
        self.concurrent = concurrent
        self._even = even
        self._waiting: list[_Waiting] = []
        self._calls: dict[asyncio.Task[None], int] = {}

    async def denoise(self, item: Slice) -> Progress:
        """A state, a slice further. Raises what `send` raises for the call that it was in."""
        waiting = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        # Samples of one call come back at the same moment: let the others join before the next call leaves.
        asyncio.get_running_loop().call_soon(self._dispatch)
        return await waiting.progress

    def _dispatch(self) -> None:
        self._waiting = [waiting for waiting in self._waiting if not waiting.progress.done()]
        while self._waiting and len(self._calls) < self.concurrent:
            among = self.concurrent if self._even else 1
            share = min(MOST_SAMPLES, -(-(len(self._waiting) + sum(self._calls.values())) // among))
            members = self._first(share)
            self._waiting = [waiting for waiting in self._waiting if waiting not in members]
            call = asyncio.create_task(self._call(members))
            self._calls[call] = len(members)
            call.add_done_callback(self._end)

    def _first(self, most: int) -> list[_Waiting]:
        """Those that go into the next call."""
        first = self._waiting[0]
        if not first.item.batch_key:
            return [first]
        members = [waiting for waiting in self._waiting if waiting.item.batch_key == first.item.batch_key][:most]
        sizes = accumulate(len(waiting.item.state) for waiting in members)
        return members[: max(1, sum(size <= MOST_BYTES for size in sizes))]

    def _end(self, call: asyncio.Task[None]) -> None:
        del self._calls[call]
        self._dispatch()

    async def _call(self, members: list[_Waiting]) -> None:
        try:
            results = await self._send([member.item for member in members])
        except Exception as error:
            for member in members:
                if not member.progress.done():
                    member.progress.set_exception(error)
            return
        for member, progress in zip(members, results, strict=True):
            if not member.progress.done():
                member.progress.set_result(progress)
