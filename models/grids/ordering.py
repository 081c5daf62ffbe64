"""One integer per voxel, so that order, lookup and set operations are operations on sorted int64 keys."""

from __future__ import annotations

import torch
from torch import Tensor

AXIS_BITS = 16
HALF = 1 << (AXIS_BITS - 1)
AXIS_STEPS = (1 << (2 * AXIS_BITS), 1 << AXIS_BITS, 1)
"""How much the key grows by one step along i, j and k."""


def voxel_keys(ijk: Tensor, batch: Tensor | None = None) -> Tensor:
    """Keys whose order is that of (batch, i, j, k).

    ijk: integer [N, 3], each within -32767 … 32766, so that no neighbour leaves its 16 bits. batch: [N] or None for 0.
    Returns int64 [N].
    """
    shifted = ijk.long() + HALF
    keys = (shifted[:, 0] << 2 * AXIS_BITS) + (shifted[:, 1] << AXIS_BITS) + shifted[:, 2]
    return keys if batch is None else keys + (batch.long() << 3 * AXIS_BITS)


def keys_to_voxels(keys: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `voxel_keys`: int32 ijk [N, 3] and int64 batch [N]."""
    mask = (1 << AXIS_BITS) - 1
    ijk = torch.stack(((keys >> 2 * AXIS_BITS) & mask, (keys >> AXIS_BITS) & mask, keys & mask), dim=1) - HALF
    return ijk.int(), keys >> 3 * AXIS_BITS


def sort_voxels(ijk: Tensor, batch: Tensor | None = None) -> Tensor:
    """The permutation [N] that puts voxels into ascending (batch, i, j, k) order."""
    return torch.argsort(voxel_keys(ijk, batch), stable=True)


def find_rows(keys: Tensor, asked: Tensor) -> Tensor:
    """The row of each asked key in ascending `keys`, int64 [Q]; len(keys) where there is none."""
    if not len(keys):
        return torch.zeros_like(asked)
    rows = torch.searchsorted(keys, asked).clamp_(max=len(keys) - 1)
    return torch.where(keys[rows] == asked, rows, len(keys))
