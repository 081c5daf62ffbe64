"""The batches of a training, read ahead of the device, and how long the device had to wait for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from training import workers
from training.dataset import pick
from training.grids import TrainingGrid
from training.rows import AnyRows, Gathered, MappedRows

AHEAD, THREADS = 6, 3


@dataclass(frozen=True)
class Batch:
    """Which shapes were drawn, int64 on the CPU, their voxels as one grid on the device, and their values [N, C]."""

    chosen: Tensor
    grid: TrainingGrid
    values: Tensor


class Batches:
    """Batches by turn: each holds shapes drawn with the turn's number as seed, whatever was drawn before.

    Where the voxels are not on the device, or are mapped from files, threads gather the next ones while it works, into
    memory from which a GPU copies by itself. Use it in a `with` block, which ends the threads.

    Args:
        rows: The voxels.
        size: Shapes in a batch.
        device: Where batches go.
    """

    def __init__(self, rows: AnyRows, size: int, device: torch.device) -> None:
        self._rows, self._size, self._device = rows, size, device
        self._pin = _pins(rows, device)
        reads_ahead = self._pin or isinstance(rows, MappedRows)
        self._threads = ThreadPoolExecutor(THREADS, "batches") if reads_ahead else None
        self._reading: dict[int, Future[Gathered]] = {}
        self.waited = 0.0
        """Seconds in which nobody worked, because a batch was not there yet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def __call__(self, turn: int) -> Batch:
        """The batch of a turn."""
        chosen, gathered = self.gathered(turn)
        return Batch(chosen, *gathered.grid(self._device))

    def gathered(self, turn: int) -> tuple[Tensor, Gathered]:
        """The same without a grid: which shapes were drawn, and their voxels, which may be elsewhere."""
        if self._threads is not None:
            for later in range(turn, turn + (AHEAD + 1) * workers.size(), workers.size()):
                if later not in self._reading:
                    self._reading[later] = self._threads.submit(self._gather, later)
        begin = time.monotonic()
        gathered = self._reading.pop(turn).result() if self._threads is not None else self._gather(turn)
        self.waited += time.monotonic() - begin
        return self._chosen(turn), gathered

    def _chosen(self, turn: int) -> Tensor:
        return pick(len(self._rows), self._size, torch.Generator().manual_seed(turn))

    def _gather(self, turn: int) -> Gathered:
        gathered = self._rows.gather(self._chosen(turn))
        return gathered.pinned() if self._pin else gathered


def in_order(rows: AnyRows, parts: Sequence[Sequence[int]], device: torch.device) -> Iterator[Batch]:
    """The shapes of each part as a batch on a device, in order; the next ones are read while one is used."""
    pin = _pins(rows, device)

    def gather(part: Sequence[int]) -> Gathered:
        gathered = rows.gather(torch.tensor(part))
        return gathered.pinned() if pin else gathered

    if not pin and not isinstance(rows, MappedRows):
        for part in parts:
            yield Batch(torch.tensor(part), *gather(part).grid(device))
        return
    with ThreadPoolExecutor(THREADS, "batches") as threads:
        reading: deque[Future[Gathered]] = deque()
        for number, part in enumerate(parts):
            while len(reading) <= AHEAD and number + len(reading) < len(parts):
                reading.append(threads.submit(gather, parts[number + len(reading)]))
            yield Batch(torch.tensor(part), *reading.popleft().result().grid(device))


def _pins(rows: AnyRows, device: torch.device) -> bool:
    """Whether batches have to go from memory to a GPU."""
    return device.type == "cuda" and (isinstance(rows, MappedRows) or rows.ijk.device.type == "cpu")
