"""How processes end after SIGTERM: a Sampler not while requests need it, an HTTP process with its jobs saved."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from types import FrameType

QUIET_SECONDS = 1.5
"""Without work for so long, no generation is under way: between two slices of one there are milliseconds."""
_PERIOD = 0.1

Handler = Callable[[int, FrameType | None], object]


def end_when_idle(idle_seconds: Callable[[], float], longest: float) -> None:
    """Makes SIGTERM wait for running generations, for `longest` seconds at most.

    The supervisor sends SIGTERM to all processes at once; the HTTP process finishes its requests, but the Sampler that
    they need would stop in the middle.
    """

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + longest
        while idle_seconds() < QUIET_SECONDS and loop.time() < end:
            await asyncio.sleep(_PERIOD)

    before_end(wait)


def before_end(work: Callable[[], Awaitable[None]]) -> None:
    """Makes SIGTERM do some work before what it does otherwise.

    Call this in the main thread, inside the event loop, once the server has set its own handler.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if not callable(previous):
        return
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def end(then: Handler) -> None:
        try:
            await work()
        finally:
            then(signal.SIGTERM, None)

    def begin() -> None:
        if not tasks:
            tasks.add(loop.create_task(end(previous)))

    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(begin))
