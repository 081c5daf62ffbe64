"""What the turns of a training draw, gathered by threads ahead of the device where that pays."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor

from training import workers
from training.dataset import pick

AHEAD, THREADS = 6, 3

Gathered = TypeVar("Gathered")


class Ahead(Generic[Gathered]):
    """Shapes by turn, drawn with the turn's number as seed, whatever was drawn before, and what is gathered of them.

    Use it in a `with` block, which ends the threads.

    Args:
        gather: Gathers the given shapes (int64 on the CPU); called by threads if `threaded`.
        shapes: How many there are.
        size: How many a turn draws, with replacement.
        threaded: Whether the next turns' are gathered while the device works.
    """

    def __init__(self, gather: Callable[[Tensor], Gathered], shapes: int, size: int, threaded: bool) -> None:
        self._gather, self._shapes, self._size = gather, shapes, size
        self._threads = ThreadPoolExecutor(THREADS, "batches") if threaded else None
        self._reading: dict[int, Future[Gathered]] = {}
        self.waited = 0.0
        """Seconds in which nobody worked, because the threads did not have yet what a turn needs. Without threads none:
        what a GPU gathers by itself makes its caller wait for the steps before, and never the GPU."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def gathered(self, turn: int) -> tuple[Tensor, Gathered]:
        """The shapes that a turn draws, int64 on the CPU, and what was gathered of them."""
        if self._threads is not None:
            for later in range(turn, turn + (AHEAD + 1) * workers.size(), workers.size()):
                if later not in self._reading:
                    self._reading[later] = self._threads.submit(self._gather, self._chosen(later))
        chosen = self._chosen(turn)
        if self._threads is None:
            return chosen, self._gather(chosen)
        begin = time.monotonic()
        gathered = self._reading.pop(turn).result()
        self.waited += time.monotonic() - begin
        return chosen, gathered

    def _chosen(self, turn: int) -> Tensor:
        return pick(self._shapes, self._size, torch.Generator().manual_seed(turn))
