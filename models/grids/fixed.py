"""A grid in fixed memory: tables of some samples, whose place others' can take while their addresses stay.

So one recorded step serves every shape of about a size. There is room for more voxels than a shape has; how many it
has is a number on the device, which the kernels read. It needs the fused kernels, which no other row can reach.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from models.grids.torch_grid import TorchGrid
from models.grids.unwaiting import TAPS

STEPS_PER_OCTAVE = 7
"""Sizes between one and its double, so that a shape gets at most about a tenth of its rows too many."""
SMALLEST = 256
SMALL = 8192
"""Voxels up to which a shape leaves a GPU idle by itself, so that its steps are computed together with others'."""
UNIT, SMALL_UNIT = 64, 128
"""Room is a multiple of these, so that no program of a kernel takes rows of two samples."""
SHARES = (0.32, 0.6, 1.0)
"""Room for the next coarser level, as a share of a level's: for surfaces, for scattered voxels, for anything."""
Rooms = tuple[int, ...]


def rooms_for(counts: tuple[int, ...]) -> Rooms:
    """Room for the voxels of each level, finest first: one of few sizes, and at most 12% too large on the finest.

    A small shape gets room from the next power of two, so that many of them find others of the same size.
    """
    small = counts[0] <= SMALL
    unit, steps_per_octave = (SMALL_UNIT, 1) if small else (UNIT, STEPS_PER_OCTAVE)
    steps = 0
    while (room := _round_up(SMALLEST * 2 ** (steps / steps_per_octave), unit)) < counts[0]:
        steps += 1
    for share in SHARES[1:] if small else SHARES:
        rooms = [room]
        while len(rooms) < len(counts):
            rooms.append(_round_up(rooms[-1] * share, unit))
        if all(count <= space for count, space in zip(counts, rooms, strict=True)):
            break
    return tuple(rooms)


def all_rooms(most: int, levels: int) -> Iterator[Rooms]:
    """Rooms that have a level of every size that tells kernels apart, for samples of up to `most` voxels.

    Kernels do not see a size itself, but the power of two that it fits in (`models.kernels.tiles.size_class`).
    """
    room = SMALLEST
    while room < 2 * most:
        yield (room,) * levels
        room *= 2


def _round_up(size: float, unit: int) -> int:
    return -(-int(size) // unit) * unit


class FixedGrid:
    """`models.grids.UNetGrid` of some samples, each with room for `rooms` voxels a level.

    Features on it are [samples * rooms[0], C]. A sample has the voxels of the grid that `load` took last for it, and
    none before.
    """

    samples: None = None
    layout: None = None

    def __init__(self, rooms: Rooms, samples: int, device: torch.device) -> None:
        self._room = rooms[0]
        rows = samples * self._room
        self.counts = (self._room,) * samples
        self.real = torch.zeros(samples, dtype=torch.int32, device=device)
        self.ijk = torch.zeros(rows, 3, dtype=torch.int32, device=device)
        self.taps = torch.full((TAPS, rows), rows, dtype=torch.int32, device=device)
        self._inside = torch.zeros(rows, 1, dtype=torch.bool, device=device)
        self._coarse = FixedGrid(rooms[1:], samples, device) if len(rooms) > 1 else None
        if self._coarse is not None:
            self._parents = torch.zeros(rows, dtype=torch.int64, device=device)
            self._children = torch.full((samples * rooms[1], 8), rows, dtype=torch.int32, device=device)

    @property
    def batch(self) -> Tensor:
        """See `UNetGrid.batch`."""
        samples = torch.arange(len(self.counts), device=self.ijk.device)
        return samples.repeat_interleave(self._room, output_size=len(self.ijk))

    def load(self, sample: int, grid: TorchGrid) -> None:
        """Takes the voxels of a grid of one sample, for which there must be room on every level."""
        count, first, none = len(grid), sample * self._room, len(self.ijk)
        self.real[sample] = count
        self._inside[first : first + count] = True
        self._inside[first + count : first + self._room] = False
        self.ijk[first : first + count] = grid.ijk
        self.taps[:, first : first + count] = torch.where(grid.taps == count, none, grid.taps + first)
        if self._coarse is not None:
            coarse = grid.coarse()
            above = sample * self._coarse._room
            self._parents[first : first + count] = grid.parents + above
            children = torch.where(grid.children == count, none, grid.children + first)
            self._children[above : above + len(coarse)] = children
            self._coarse.load(sample, coarse)

    def empty(self, sample: int) -> None:
        """Leaves a sample without voxels: it costs next to nothing."""
        self.real[sample] = 0
        first = sample * self._room
        self._inside[first : first + self._room] = False
        if self._coarse is not None:
            self._coarse.empty(sample)

    def clear(self, features: Tensor) -> Tensor:
        """The same features, but 0 where there is only room."""
        return torch.where(self._inside, features, 0.0)

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `UNetGrid.conv3`."""
        return convolve_in_room(features, self.taps, weight, bias, self.real)

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


def convolve_in_room(features: Tensor, taps: Tensor, weight: Tensor, bias: Tensor | None, real: Tensor) -> Tensor:
    """`UNetGrid.conv3` where `real`, int32 [samples], tells how many rows of each sample count."""
    from models.kernels.convolution import gather_gemm

    packed = weight.permute(2, 3, 4, 1, 0).reshape(TAPS, features.shape[1], -1)
    return gather_gemm(features, taps, packed, bias, real)


def counts_of(grid: TorchGrid, levels: int) -> tuple[int, ...]:
    """Voxels of a grid and of what is coarser, so many levels in all."""
    counts = [len(grid)]
    while len(counts) < levels:
        grid = grid.coarse()
        counts.append(len(grid))
    return tuple(counts)
