"""Who may generate: a bounded number at a time, a bounded number waiting, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.errors import QueueFull
from api.telemetry import metrics


class Admission:
    """Places for generations that share the models, and a queue in front of them.

    The work of every request is known as expected seconds, so that a refusal can say when to come back.
    """

    def __init__(self, max_running: int, max_queue: int) -> None:
        self.max_running = max_running
        self.max_queue = max_queue
        self.running = 0
        self._waiting: deque[_Turn] = deque()
        self._work: dict[object, float] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        """Number of requests in the queue."""
        return len(self._waiting)

    @property
    def outstanding(self) -> float:
        """Expected seconds of work of all requests that run or wait."""
        return sum(self._work.values())

    @asynccontextmanager
    async def place(
        self, work: float, patience: float, report: Callable[[int], None] = lambda position: None
    ) -> AsyncIterator[None]:
        """A place among the running; waits for it in the queue.

        Args:
            work: Expected seconds of this request's own work.
            patience: Seconds that the request can wait at most.
            report: Is told the position in the queue whenever it changes: 1 is the next one, 0 has its place.

        Raises:
            QueueFull: the queue is full, or its work would take longer than `patience`.
        """
        busy = self.running >= self.max_running
        if busy and (self.waiting >= self.max_queue or self.outstanding > patience):
            wait = max(self.next_free(), self.outstanding - patience)
            raise QueueFull(f"{self.waiting} requests are already waiting: try again later.", retry_after=wait)
        key = object()
        self._work[key] = work
        self._empty.clear()
        try:
            if busy:
                await self._wait(report)
            else:
                self.running += 1
            report(0)
            self._show()
            try:
                yield
            finally:
                self._leave()
        finally:
            del self._work[key]
            if not self._work:
                self._empty.set()
            self._show()

    async def empty(self) -> None:
        """Waits until nobody runs or waits."""
        await self._empty.wait()

    def next_free(self) -> float:
        """Expected seconds until the next of the outstanding requests ends."""
        return self.outstanding / max(1, len(self._work))

    async def _wait(self, report: Callable[[int], None]) -> None:
        turn = _Turn(asyncio.get_running_loop().create_future(), report)
        self._waiting.append(turn)
        report(self.waiting)
        self._show()
        try:
            await turn.come
        except asyncio.CancelledError:
            if turn.come.done() and not turn.come.cancelled():  # the place came at the moment of leaving: pass it on
                self._leave()
            else:
                self._waiting.remove(turn)
                self._report()
            raise

    def _show(self) -> None:
        metrics.queue(self.running, self.waiting)

    def _report(self) -> None:
        for position, turn in enumerate(self._waiting, start=1):
            turn.report(position)

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.come.done():
                turn.come.set_result(None)
                self._report()
                return
        self.running -= 1


@dataclass(frozen=True, eq=False)
class _Turn:
    come: asyncio.Future[None]
    report: Callable[[int], None]
