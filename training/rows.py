"""Voxels of many shapes in tables, from which batches are made: in memory, on a GPU, or mapped from files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.grids.differentiable import DifferentiableGrid
from models.memory import free_memory

SHARE_OF_MEMORY = 0.4
"""Of a GPU, or of the memory that is free, that voxels may take to lie there all the time."""
MEASURED = 256
"""Shapes by which the deviation of latents that the device does not hold, and the room of batches, are measured."""
MEMORY = torch.device("cpu")


def fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes may lie on a device, or in memory, all the time."""
    if device.type == "cuda":
        return size <= SHARE_OF_MEMORY * torch.cuda.get_device_properties(device).total_memory
    return size <= SHARE_OF_MEMORY * free_memory()


def place_for(size: int, device: torch.device) -> torch.device | None:
    """Where so many bytes for a device may lie: there, in memory, or None for neither."""
    return next((each for each in (device, MEMORY) if fits(size, each)), None)


@dataclass(frozen=True)
class Gathered:
    """Voxels of some shapes, one after the other: ijk [N, 3], values [N, C]; sizes: int64 [S] on the CPU."""

    ijk: Tensor
    values: Tensor
    sizes: Tensor

    @property
    def owner(self) -> Tensor:
        """Each voxel's shape, as its place among them: int64 [N], where the voxels are."""
        device = self.ijk.device
        places = torch.arange(len(self.sizes), device=device)
        sizes = self.sizes.to(device, non_blocking=True)
        return places.repeat_interleave(sizes, output_size=len(self.ijk))

    def pinned(self) -> Gathered:
        """The same in memory from which a GPU copies by itself."""
        return Gathered(self.ijk.pin_memory(), self.values.pin_memory(), self.sizes.pin_memory())

    def to(self, device: torch.device) -> Gathered:
        """The same on a device, on its way there as long as nobody asks."""
        return replace(
            self, ijk=self.ijk.to(device, non_blocking=True), values=self.values.to(device, non_blocking=True)
        )

    def grid(self, device: torch.device | None) -> tuple[DifferentiableGrid, Tensor]:
        """The voxels as one grid on a device, None for where they are, and their values [N, C]."""
        there = self if device is None else self.to(device)
        return DifferentiableGrid.from_ijk(there.ijk.int(), there.owner, len(self.sizes)), there.values


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
        if device.type == "cuda" and not fits(self.ijk.nbytes + self.values.nbytes, device):
            return replace(self, device=device)
        return Rows(self.ijk.to(device), self.values.to(device), self.offset)

    def first(self, shapes: int) -> Rows:
        """The first shapes only."""
        end = int(self.offset[shapes])
        return Rows(self.ijk[:end], self.values[:end], self.offset[: shapes + 1])

    def gather(self, shapes: Tensor) -> Gathered:
        """The voxels of the given shapes (int64 on the CPU), where these rows are."""
        sizes = self.sizes()[shapes]
        if self.ijk.device.type == "cpu":  # whole pieces are copied faster than single rows
            lows, highs = self.offset[shapes].tolist(), self.offset[shapes + 1].tolist()
            pieces = [slice(low, high) for low, high in zip(lows, highs, strict=True)]
            return Gathered(
                torch.cat([self.ijk[piece] for piece in pieces]),
                torch.cat([self.values[piece] for piece in pieces]),
                sizes,
            )
        total = int(sizes.sum())
        starts = self.offset[shapes] - (sizes.cumsum(0) - sizes)
        device = self.ijk.device
        on_device, starts = sizes.to(device), starts.to(device)
        rows = torch.arange(total, device=device) + starts.repeat_interleave(on_device, output_size=total)
        return Gathered(self.ijk[rows], self.values[rows], sizes)

    def batch(self, shapes: Tensor) -> tuple[DifferentiableGrid, Tensor]:
        """The voxels of the given shapes (int64 on the CPU) as one grid, and their values [N, C]."""
        return self.gather(shapes).grid(self.device)

    @classmethod
    def join(cls, parts: Iterable[Rows]) -> Rows:
        """Several tables as one, in order."""
        ijk, values, sizes = [], [], [torch.zeros(1, dtype=torch.int64)]
        for part in parts:
            ijk.append(part.ijk)
            values.append(part.values)
            sizes.append(part.sizes())
        return cls(torch.cat(ijk), torch.cat(values), torch.cat(sizes).cumsum(0))


@dataclass(frozen=True)
class MappedRows:
    """Voxels of more shapes than memory holds: tables that are mapped from files, of which a batch reads its own part.

    tables: rows of each file; table and row: where each shape is, int64 [S]; device: where batches go.
    """

    tables: Sequence[Rows]
    table: Tensor
    row: Tensor
    device: torch.device | None = None

    def __len__(self) -> int:
        return len(self.table)

    def sizes(self) -> Tensor:
        """Voxels of each shape, int64 on the CPU."""
        sizes = [table.sizes() for table in self.tables]
        places = zip(self.table.tolist(), self.row.tolist(), strict=True)
        return torch.stack([sizes[table][row] for table, row in places])

    @property
    def nbytes(self) -> int:
        """What all shapes would take in memory."""
        first = self.tables[0]
        each = 3 * first.ijk.element_size() + first.values.shape[1] * first.values.element_size()
        return int(self.sizes().sum()) * each

    def in_memory(self, device: torch.device) -> Rows:
        """All shapes in one table on a device, read piece by piece."""
        return Rows.join(self._part(shape, device) for shape in range(len(self)))

    def to(self, device: torch.device) -> Rows | MappedRows:
        """The same rows for use on `device`: on a GPU where they fit, else mapped, with batches that go there."""
        if device.type == "cuda" and fits(self.nbytes, device):
            return self.in_memory(device)
        return replace(self, device=device)

    def gather(self, shapes: Tensor) -> Gathered:
        """The voxels of the given shapes (int64 on the CPU), in memory; nothing else is read."""
        parts = [self._part(shape, torch.device("cpu")) for shape in shapes.tolist()]
        sizes = torch.tensor([len(part.ijk) for part in parts])
        return Gathered(torch.cat([part.ijk for part in parts]), torch.cat([part.values for part in parts]), sizes)

    def batch(self, shapes: Tensor) -> tuple[DifferentiableGrid, Tensor]:
        """The voxels of the given shapes (int64 on the CPU) as one grid, and their values [N, C]."""
        return self.gather(shapes).grid(self.device)

    def _part(self, shape: int, device: torch.device) -> Rows:
        table, row = self.tables[int(self.table[shape])], int(self.row[shape])
        low, high = int(table.offset[row]), int(table.offset[row + 1])
        return Rows(table.ijk[low:high].to(device), table.values[low:high].to(device), torch.tensor([0, high - low]))


AnyRows = Rows | MappedRows
