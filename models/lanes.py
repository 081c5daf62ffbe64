"""How several threads use one GPU at a time: each takes a lane, with a stream and fixed memory that no other has.

The deeper levels of a sparse U-Net are too small to fill a GPU. Two samples in two lanes do, and while one lane's
results are packed and sent, the other computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import LifoQueue
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class Lanes(Generic[T]):
    """Lends each of some things to one thread at a time, first the one that was given back last: it is warm."""

    def __init__(self, things: Sequence[T]) -> None:
        self.count = len(things)
        self._free: LifoQueue[T] = LifoQueue()
        for thing in reversed(things):
            self._free.put(thing)

    @contextmanager
    def one(self) -> Iterator[T]:
        """One of them, as soon as one is free."""
        thing = self._free.get()
        try:
            yield thing
        finally:
            self._free.put(thing)


def stream_on(device: torch.device, priority: int = 0) -> torch.cuda.Stream | None:
    """A new stream of a GPU, where work of a lower number goes first; None on a CPU."""
    return torch.cuda.Stream(device, priority=priority) if device.type == "cuda" else None


@contextmanager
def on_stream(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """Runs a block on a stream: after what the caller's stream has to do, which in turn waits for the block."""
    if stream is None:
        yield
        return
    before = torch.cuda.current_stream(stream.device)
    stream.wait_stream(before)
    with torch.cuda.stream(stream):
        yield
    before.wait_stream(stream)
