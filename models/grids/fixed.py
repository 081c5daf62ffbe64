"""A grid in fixed memory: tables of one sample, whose place another sample's can take while their addresses stay.

So one recorded step serves every shape of about a size. There is room for more voxels than a shape has; how many it
has is a number on the device, which the kernels read. It needs the fused kernels, which no other row can reach.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.grids.torch_grid import TAPS, TorchGrid

STEPS_PER_OCTAVE = 7
"""Sizes between one and its double, so that a shape gets at most about a tenth of its rows too many."""
SMALLEST = 256
UNIT = 64
SHARES = (0.32, 0.6, 1.0)
"""Room for the next coarser level, as a share of a level's: for surfaces, for scattered voxels, for anything."""
Rooms = tuple[int, ...]


def rooms_for(counts: tuple[int, ...]) -> Rooms:
    """Room for the voxels of each level, finest first: one of few sizes, and at most 12% too large on the finest."""
    steps = 0
    while (room := _round_up(SMALLEST * 2 ** (steps / STEPS_PER_OCTAVE))) < counts[0]:
        steps += 1
    for share in SHARES:
        rooms = [room]
        while len(rooms) < len(counts):
            rooms.append(_round_up(rooms[-1] * share))
        if all(count <= space for count, space in zip(counts, rooms, strict=True)):
            break
    return tuple(rooms)


def _round_up(size: float) -> int:
    return -(-int(size) // UNIT) * UNIT


class FixedGrid:
    """`models.grids.UNetGrid` of one sample, with room for `rooms` voxels a level.

    Features on it are [rooms[0], C]. It has the voxels of the grid that `load` took last, and none before.
    """

    def __init__(self, rooms: Rooms, device: torch.device) -> None:
        room = rooms[0]
        self.counts = (room,)
        self.real = torch.zeros(1, dtype=torch.int32, device=device)
        self.ijk = torch.zeros(room, 3, dtype=torch.int32, device=device)
        self.taps = torch.full((TAPS, room), room, dtype=torch.int32, device=device)
        self._inside = torch.zeros(room, 1, dtype=torch.bool, device=device)
        self._coarse = FixedGrid(rooms[1:], device) if len(rooms) > 1 else None
        if self._coarse is not None:
            self._parents = torch.zeros(room, dtype=torch.int64, device=device)
            self._children = torch.full((rooms[1], 8), room, dtype=torch.int32, device=device)

    @property
    def batch(self) -> Tensor:
        """All rows belong to the one sample, int64 [rooms[0]]."""
        return torch.zeros(len(self.ijk), dtype=torch.int64, device=self.ijk.device)

    def load(self, grid: TorchGrid) -> None:
        """Takes the voxels of a grid of one sample, for which there must be room on every level."""
        count, room = len(grid), self.counts[0]
        self.real.fill_(count)
        self._inside[:count] = True
        self._inside[count:] = False
        self.ijk[:count] = grid.ijk
        self.taps[:, :count] = torch.where(grid.taps == count, room, grid.taps)
        if self._coarse is not None:
            coarse = grid.coarse()
            self._parents[:count] = grid.parents
            self._children[: len(coarse)] = torch.where(grid.children == count, room, grid.children)
            self._coarse.load(coarse)

    def clear(self, features: Tensor) -> Tensor:
        """The same features, but 0 where there is only room."""
        return torch.where(self._inside, features, 0.0)

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `UNetGrid.conv3`."""
        from models.kernels.convolution import gather_gemm

        packed = weight.permute(2, 3, 4, 1, 0).reshape(TAPS, features.shape[1], -1)
        return gather_gemm(features, self.taps, packed, bias, self.real)

    def coarse(self) -> FixedGrid:
        """The grid of parents, in its own fixed memory."""
        assert self._coarse is not None
        return self._coarse

    def average_pool(self, features: Tensor) -> Tensor:
        """See `UNetGrid.average_pool`."""
        from models.kernels.pooling import average_children

        return average_children(features, self._children, real=self.coarse().real)

    def upsample(self, features: Tensor) -> Tensor:
        """See `UNetGrid.upsample`."""
        return features.index_select(0, self._parents)


def counts_of(grid: TorchGrid, levels: int) -> tuple[int, ...]:
    """Voxels of a grid and of what is coarser, so many levels in all."""
    counts = [len(grid)]
    while len(counts) < levels:
        grid = grid.coarse()
        counts.append(len(grid))
    return tuple(counts)
