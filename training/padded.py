"""A grid whose tensors have the same shapes in every batch, so that a training step on it can be recorded.

It has room for more voxels than a batch has. What is only room belongs to a sample of its own, behind the others,
which no loss looks at: so it has no gradient, and changes nothing. Everything is made on the device, where nobody
waits for a number. Voxels for which there is no room are left out, as if the shape did not have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.grids.differentiable import convolve
from models.grids.ordering import keys_to_voxels, voxel_keys
from models.grids.samples import Samples
from models.grids.unwaiting import NONE, neighbour_taps


@dataclass(frozen=True)
class Room:
    """Room for the voxels of a level: of all samples together, and of the largest one."""

    rows: int
    length: int


class PaddedGrid:
    """`models.grids.UNetGrid` of `samples` samples, and one more for what is only room.

    keys: int64 [rows] of the first level's room, ascending (`models.grids.ordering.voxel_keys`), `NONE` at the end.
    rooms: finest level first; None for just enough, where nothing is recorded, and waiting for numbers costs nothing.
    """

    real: Tensor | None = None

    def __init__(self, keys: Tensor, samples: int, rooms: Sequence[Room] | None) -> None:
        self.keys, self._samples, self._rooms = keys, samples, rooms
        self.counts = (0,) * (samples + 1)
        """Not known: nobody who needs them takes such a grid."""

    @cached_property
    def ijk(self) -> Tensor:
        """See `UNetGrid.ijk`; 0 where there is only room."""
        return torch.where(self.inside[:, None], keys_to_voxels(self.keys)[0], 0)

    @cached_property
    def batch(self) -> Tensor:
        """See `UNetGrid.batch`."""
        return torch.where(self.inside, keys_to_voxels(self.keys)[1], self._samples)

    @cached_property
    def inside(self) -> Tensor:
        """Where there is a voxel, bool [N]."""
        return self.keys < NONE

    @cached_property
    def samples(self) -> Samples:
        """See `UNetGrid.samples`."""
        return Samples.of(self.batch, self._samples + 1)

    @cached_property
    def taps(self) -> Tensor:
        """The neighbour table by taps, int32 [27, N]."""
        return neighbour_taps(self.keys)

    @cached_property
    def neighbours(self) -> Tensor:
        """The neighbour table by voxels, int64 [N, 27]."""
        return self.taps.T.long().contiguous()

    @cached_property
    def layout(self) -> PaddedLayout:
        """Rows as one block of each sample's, for attention."""
        length = int(self.samples.sizes[:-1].max()) if self._rooms is None else self._rooms[0].length
        return PaddedLayout(self.batch, self._samples, length)

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `UNetGrid.conv3`."""
        return convolve(self, features, weight, bias)

    @cached_property
    def _above(self) -> tuple[PaddedGrid, Tensor, Tensor]:
        """The coarser grid, each voxel's row there [N], and the rows of a coarser voxel's children [M, 8]."""
        rows, rooms = len(self.keys), None if self._rooms is None else self._rooms[1:]
        mine = torch.where(self.inside, voxel_keys(self.ijk >> 1, self.batch), NONE)
        ascending, order = torch.sort(mine)
        first = torch.diff(ascending, prepend=ascending.new_full((1,), -1)) != 0
        room = int((first & (ascending < NONE)).sum()) if rooms is None else rooms[0].rows
        number = (first.cumsum(0) - 1).clamp(max=room)
        number = torch.where(ascending < NONE, number, room)
        parent = torch.empty_like(number).scatter_(0, order, number)
        # One place too many takes what has no room.
        keys = torch.full((room + 1,), NONE, device=self.keys.device).scatter_(0, parent, mine)[:room]
        octant = ((self.ijk[:, 0] & 1) * 4 + (self.ijk[:, 1] & 1) * 2 + (self.ijk[:, 2] & 1)).long()
        children = torch.full((8 * (room + 1),), rows, device=self.keys.device)
        children.scatter_(0, 8 * parent + octant, torch.arange(rows, device=self.keys.device))
        return PaddedGrid(keys, self._samples, rooms), parent, children.view(-1, 8)[:room]

    def coarse(self) -> PaddedGrid:
        """See `UNetGrid.coarse`."""
        return self._above[0]

    def average_pool(self, features: Tensor) -> Tensor:
        """See `UNetGrid.average_pool`."""
        _, parent, children = self._above
        pooled: Tensor = _Exchange.apply(features, children, parent)  # type: ignore[no-untyped-call]
        return pooled / 8

    def upsample(self, features: Tensor) -> Tensor:
        """See `UNetGrid.upsample`."""
        _, parent, children = self._above
        output: Tensor = _Exchange.apply(features, parent, children)  # type: ignore[no-untyped-call]
        return output


class PaddedLayout:
    """Rows [N, C] of samples as one block [S, length, C], zeros where a sample has no more rows.

    owner: ascending int64 [N]; rows of a sample from `samples` on, and those beyond `length`, are not in the block.
    """

    def __init__(self, owner: Tensor, samples: int, length: int) -> None:
        self._samples, self._length = samples, length
        device, size = owner.device, samples * length
        rows = torch.arange(len(owner), device=device)
        starts = torch.searchsorted(owner, torch.arange(samples + 1, device=device))
        rank = rows - starts[owner]
        there = (owner < samples) & (rank < length)
        self._place = torch.where(there, owner * length + rank, size)
        self._row = torch.full((size + 1,), len(owner), device=device).scatter_(0, self._place, rows)[:size]
        self.mask = (self._row < len(owner)).view(samples, 1, 1, length)
        """bool [S, 1, 1, length], True where a row is real."""

    def cube(self, x: Tensor) -> Tensor:
        """[N, C] -> [S, length, C]."""
        block: Tensor = _Exchange.apply(x, self._row, self._place)  # type: ignore[no-untyped-call]
        return block.view(self._samples, self._length, -1)

    def rows(self, x: Tensor) -> Tensor:
        """[S, length, C] -> [N, C], zeros for rows that are not in the block."""
        rows: Tensor = _Exchange.apply(x.flatten(0, 1), self._place, self._row)  # type: ignore[no-untyped-call]
        return rows


class _Exchange(torch.autograd.Function):
    """Takes rows by a table: [N, C] -> [M, C], or sums of several where the table is [M, K]; N stands for none.

    back: the table of the other direction, for the gradient, so that nothing is added up in an order left to chance.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return _taken(x, table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _taken(gradient, ctx.back), None, None


def _taken(x: Tensor, table: Tensor) -> Tensor:
    found = functional.pad(x, (0, 0, 0, 1)).index_select(0, table.reshape(-1))
    return found if table.ndim == 1 else found.view(*table.shape, -1).sum(dim=1)
