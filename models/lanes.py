"""How several threads use one GPU at a time: each takes a lane, with a stream and fixed memory that no other has.

The deeper levels of a sparse U-Net are too small to fill a GPU. Two samples in two lanes do, and while one lane's
results are packed and sent, the other computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Condition
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
STEPS_AHEAD = 4


class Lanes(Generic[T]):
    """Lends each of some things to one thread at a time, first the one that was given back last: it is warm."""

    def __init__(self, things: Sequence[T]) -> None:
        self.count = len(things)
        self._first = things[0]
        self._free = list(reversed(things))
        self._given_back = Condition()

    @contextmanager
    def one(self) -> Iterator[T]:
        """One of them, as soon as one is free."""
        with self._given_back:
            self._given_back.wait_for(lambda: self._free)
            thing = self._free.pop()
        try:
            yield thing
        finally:
            with self._given_back:
                if self.count > 1 or thing is self._first:
                    self._free.append(thing)
                    self._given_back.notify()

    def keep_first(self) -> None:
        """Lends only the first of them from now on. Who has one keeps it, and nobody else gets it before its return."""
        with self._given_back:
            self.count = 1
            self._free = [thing for thing in self._free if thing is self._first]


def stream_on(device: torch.device, priority: int = 0) -> torch.cuda.Stream | None:
    """A new stream of a GPU, where work of a lower number goes first; None on a CPU."""
    return torch.cuda.Stream(device, priority=priority) if device.type == "cuda" else None


@contextmanager
def on_stream(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """Runs a block on a stream, after what the caller's stream has to do; it ends when its work on the GPU is done.

    The caller's stream is not made to wait instead: threads share it, and each would wait for the work of all others.
    """
    if stream is None:
        yield
        return
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    with torch.cuda.stream(stream):
        try:
            yield
        finally:
            stream.synchronize()


class Pace:
    """Keeps a thread at most STEPS_AHEAD steps ahead of its stream.

    A GPU takes only so many kernels in advance. Who starts more waits inside the driver, with its lock, and no other
    thread can do anything on the GPU meanwhile.
    """

    def __init__(self, stream: torch.cuda.Stream | None) -> None:
        self._stream = stream
        self._ends: deque[torch.cuda.Event] = deque()

    def after_step(self) -> None:
        """Waits until the GPU has come near, where it has not."""
        if self._stream is not None:
            end = torch.cuda.Event(blocking=True)
            end.record(self._stream)
            self._ends.append(end)
            if len(self._ends) > STEPS_AHEAD:
                self._ends.popleft().synchronize()
