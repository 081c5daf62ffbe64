"""Batches of voxels for a training, read ahead of the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from models.grids.differentiable import DifferentiableGrid
from training.ahead import AHEAD, THREADS, Ahead
from training.rows import AnyRows, Gathered, MappedRows


@dataclass(frozen=True)
class Batch:
    """Which shapes were drawn, int64 on the CPU, their voxels as one grid on the device, and their values [N, C]."""

    chosen: Tensor
    grid: DifferentiableGrid
    values: Tensor


class Batches(Ahead[Gathered]):
    """Batches by turn. Use it in a `with` block.

    Where the voxels are not on the device, or are mapped from files, threads gather the next ones while it works, into
    memory from which a GPU copies by itself.

    Args:
        rows: The voxels.
        size: Shapes in a batch.
        device: Where batches go.
    """

    def __init__(self, rows: AnyRows, size: int, device: torch.device) -> None:
        self._device = device
        pin = _pins(rows, device)

        def gather(shapes: Tensor) -> Gathered:
            gathered = rows.gather(shapes)
            return gathered.pinned() if pin else gathered

        super().__init__(gather, len(rows), size, threaded=pin or isinstance(rows, MappedRows))

    def __call__(self, turn: int) -> Batch:
        """The batch of a turn."""
        chosen, gathered = self.gathered(turn)
        return Batch(chosen, *gathered.grid(self._device))


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
