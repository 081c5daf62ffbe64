"""Grids made on a GPU without the CPU knowing how many voxels they have, so that nobody waits and a graph can do it.

Keys lie in memory with room for more of them, ascending; behind the last voxel stands `NONE`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from models.grids.ordering import AXIS_STEPS, HALF, find_rows

TAPS = 27
CENTRE = TAPS // 2
STEPS = tuple(sum((tap // 3**axis % 3 - 1) * AXIS_STEPS[2 - axis] for axis in range(3)) for tap in range(CENTRE))
"""How much the key of a voxel's neighbour differs from its own, for the taps before the centre."""
OCTANTS = tuple(sum((octant >> (2 - axis) & 1) * AXIS_STEPS[axis] for axis in range(3)) for octant in range(8))
"""How much the key of a child differs from that of the first one."""
MOST_AT_ONCE = 1 << 18
"""Voxels of a grid whose neighbours are found in one go: at most 30 MB for each operation."""
NONE = 1 << 62
"""A key that no voxel has, nor a neighbour of one."""


def neighbour_taps(keys: Tensor) -> Tensor:
    """The rows of the 27 neighbours of each voxel, int32 [27, N], taps along x, y, z with z fastest; N for none.

    keys: int64 [N], ascending; `NONE` has no neighbour.
    """
    count = len(keys)
    # One place too many: voxels without a neighbour write there, which spares the CPU a wait for their number.
    table = torch.full((TAPS * count + 1,), count, dtype=torch.int32, device=keys.device)
    rows = torch.arange(count, dtype=torch.int32, device=keys.device)
    table[CENTRE * count : (CENTRE + 1) * count] = rows
    # The other half is the same pairs seen from the other side. Of a small grid all taps are asked for at once: it
    # takes longer to tell a GPU what to do than to do it.
    at_once = CENTRE if count <= MOST_AT_ONCE else 1
    shifts, opposite = _shifts(keys.device)
    for first in range(0, CENTRE, at_once):
        taps = slice(first, first + at_once)
        found = find_rows(keys, keys + shifts[taps])
        table[first * count : (first + at_once) * count] = found.flatten()
        places = torch.where(found < count, opposite[taps] * count + found, TAPS * count)
        table.scatter_(0, places.flatten(), rows.repeat(at_once))
    return table[:-1].view(TAPS, count)


def children(keys: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The keys of the children of the first `count` voxels, and each child's row in `keys`.

    keys: int64 [N], of one sample. count: int32 [1]. Returns int64 [8 * N] twice, ascending; `NONE` behind the last.
    """
    voxels = torch.arange(len(keys), device=keys.device) < count
    first = 2 * keys - HALF * sum(AXIS_STEPS)
    every = torch.where(voxels[:, None], first[:, None] + _octants(keys.device), NONE)
    ascending, order = torch.sort(every.flatten())
    return ascending, order >> 3


def chosen(keep: Tensor) -> tuple[Tensor, Tensor]:
    """The rows where `keep` (bool [N]) holds, ascending, int64 [N] with N behind the last; and how many, int32 [1]."""
    count = len(keep)
    ends = keep.cumsum(0)
    rows = torch.full((count + 1,), count, dtype=torch.int64, device=keep.device)
    rows.scatter_(0, torch.where(keep, ends - 1, count), torch.arange(count, device=keep.device))
    return rows[:-1], ends[-1:].int()


@lru_cache
def _shifts(device: torch.device) -> tuple[Tensor, Tensor]:
    """Differences of keys [13, 1], and the taps opposite to them [13, 1]."""
    opposite = torch.arange(TAPS - 1, CENTRE, -1, device=device)
    return torch.tensor(STEPS, device=device)[:, None], opposite[:, None]


@lru_cache
def _octants(device: torch.device) -> Tensor:
    return torch.tensor(OCTANTS, device=device)
