"""Threads of a store's own: one that hangs, or is slow, holds up nobody but who asks for what is in it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Task = tuple[Callable[[], Any], asyncio.AbstractEventLoop, asyncio.Future[Any]]
_LAST_SECONDS = 1.0


class Threads:
    """A few threads for the calls of one event loop. They end with the process, even if one of them never returns.

    Args:
        name: Of the threads.
        count: How many there are.
        most: Calls that may be under way or wait at a time.
    """

    def __init__(self, name: str, count: int, most: int) -> None:
        self._most = most
        self._open = 0
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True) for number in range(count)
        ]
        self._last: Callable[[], object] = lambda: None
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[], T], patience: float) -> T:
        """What some work gives. Work that nobody waits for any more is not begun.

        Args:
            work: Called in one of the threads.
            patience: Seconds to wait for it.

        Raises:
            OSError: Too many calls are under way, or this one took too long; or the work raises it.
        """
        if self._open >= self._most:
            raise OSError(errno.EAGAIN, "too many calls wait for it")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._open += 1
        self._tasks.put((work, loop, done))
        async with asyncio.timeout(patience):
            return await done

    def end(self, last: Callable[[], object] = lambda: None) -> None:
        """Ends the threads once they have done what was asked for, and does `last` in each; waits for that a little."""
        self._last = last
        for _ in self._threads:
            self._tasks.put(None)
        until = time.monotonic() + _LAST_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            work, loop, done = task
            result: Any = None
            error: BaseException | None = None
            if not done.cancelled():
                try:
                    result = work()
                except BaseException as raised:
                    error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended, and whoever waited with it
                loop.call_soon_threadsafe(self._tell, done, result, error)
            del task, work, done, result, error  # nothing is kept alive until the next call
        self._last()

    def _tell(self, done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._open -= 1
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
