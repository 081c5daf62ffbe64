"""Voxels of many shapes in tables, from which batches are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.grids import TrainingGrid

SHARE_OF_MEMORY = 0.4
"""Of a GPU, that voxels may take to lie there all the time."""


@dataclass(frozen=True)
class Rows:
    """Voxels of many shapes in one table: shape s owns rows offset[s] … offset[s + 1] - 1, sorted by (i, j, k).

    ijk: int8 or int16 [K, 3]; values: [K, C], normals as int8 (127 = 1) or latents as float16; offset: int64 on the
    CPU. device: where batches go, None for where the voxels are.
    """

    ijk: Tensor
    values: Tensor
    offset: Tensor
    device: torch.device | None = None

    def __len__(self) -> int:
        return len(self.offset) - 1

    def sizes(self) -> Tensor:
        """Voxels of each shape, int64 on the CPU."""
        return self.offset.diff()

    def to(self, device: torch.device) -> Rows:
        """The same rows for use on `device`: there, or, where they are too many for it, with batches that go there."""
        size = self.ijk.nbytes + self.values.nbytes
        if device.type == "cuda" and size > SHARE_OF_MEMORY * torch.cuda.get_device_properties(device).total_memory:
            return Rows(self.ijk.pin_memory(), self.values.pin_memory(), self.offset, device)
        return Rows(self.ijk.to(device), self.values.to(device), self.offset)

    def first(self, shapes: int) -> Rows:
        """The first shapes only."""
        end = int(self.offset[shapes])
        return Rows(self.ijk[:end], self.values[:end], self.offset[: shapes + 1])

    def batch(self, shapes: Tensor) -> tuple[TrainingGrid, Tensor]:
        """The voxels of the given shapes (int64 on the CPU) as one grid, and their values [N, C]."""
        sizes = self.sizes()[shapes]
        total = int(sizes.sum())
        starts = self.offset[shapes] - (sizes.cumsum(0) - sizes)
        device = self.ijk.device
        sizes, starts = sizes.to(device), starts.to(device)
        rows = torch.arange(total, device=device) + starts.repeat_interleave(sizes, output_size=total)
        owner = torch.arange(len(shapes), device=device).repeat_interleave(sizes, output_size=total)
        ijk, values = self.ijk[rows], self.values[rows]
        if self.device is not None:
            ijk, values, owner = ijk.to(self.device), values.to(self.device), owner.to(self.device)
        return TrainingGrid.from_ijk(ijk.int(), owner, len(shapes)), values

    @classmethod
    def join(cls, parts: Iterable[Rows]) -> Rows:
        """Several tables as one, in order."""
        ijk, values, sizes = [], [], [torch.zeros(1, dtype=torch.int64)]
        for part in parts:
            ijk.append(part.ijk)
            values.append(part.values)
            sizes.append(part.sizes())
        return cls(torch.cat(ijk), torch.cat(values), torch.cat(sizes).cumsum(0))
