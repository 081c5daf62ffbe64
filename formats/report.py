"""What is worth knowing of a shape before it is built or printed: its size, its pieces, its holes."""

from __future__ import annotations

from typing import Any

import numpy as np

from formats.editing import halved, keys_of, pieces, step_of
from formats.limits import check_cells
from formats.surface import solid
from models.shape import Voxels

_SMALLEST = 8
"""Voxels along the longest side of the coarsest level that is told of."""


def report(voxels: Voxels, *, filled: bool = False) -> dict[str, Any]:
    """Size, pieces, holes and levels of a shape that has voxels, as JSON has it.

    A hole is a place where the closed surface around the shape runs through no voxel. A shape without holes is
    watertight: no walk along the axes gets in.

    Args:
        voxels: The shape.
        filled: Whether it has been filled, to the whole or to a wall, which closes every hole.

    Raises:
        ShapeError: the grid around the shape would be too large.
    """
    _, sizes = pieces(voxels)
    holes, inside = (0, _enclosed(voxels)) if filled else _holes(voxels)
    levels = [_level(voxels)]
    coarser = voxels
    while max(levels[-1]["size"]) > _SMALLEST:
        coarser = halved(coarser)
        levels.append(_level(coarser))
    return {
        "size": levels[0]["size"],
        "voxel_size": voxels.voxel_size,
        "voxels": len(voxels),
        "pieces": len(sizes),
        "largest_piece": int(sizes.max()),
        "watertight": holes == 0,
        "holes": holes,
        "inside": inside,
        "levels": levels,
    }


def size_of(voxels: Voxels) -> list[int]:
    """Voxels along each axis."""
    sides = [int(column.max()) - int(column.min()) + 1 for column in voxels.ijk.T]  # by columns: ten times as fast
    return sides


def _level(voxels: Voxels) -> dict[str, Any]:
    return {"size": size_of(voxels), "voxels": len(voxels), "faces": _faces(voxels)}


def _faces(voxels: Voxels) -> int:
    """Faces of voxels that no other voxel covers."""
    keys = np.sort(keys_of(voxels.ijk))
    covered = sum(int(np.isin(keys + step, keys, assume_unique=True).sum()) for step in step_of(np.eye(3, dtype=int)))
    return 6 * len(keys) - 2 * covered


def _enclosed(voxels: Voxels) -> int:
    """The number of cells that no walk along the axes reaches."""
    from skimage.morphology import flood

    low = voxels.ijk.min(axis=0).astype(int) - 1
    sides = voxels.ijk.max(axis=0) - low + 2
    check_cells(sides)
    grid = np.zeros(sides, np.uint8)
    grid[tuple((voxels.ijk - low).T)] = 1
    return grid.size - len(voxels) - int(np.count_nonzero(flood(grid, (0, 0, 0), connectivity=1)))


def _holes(voxels: Voxels) -> tuple[int, int]:
    """The number of holes, and of the cells inside that are no voxels."""
    mask, low = solid(voxels)
    at = tuple((voxels.ijk - low).T)
    border = np.zeros_like(mask)
    for axis in range(3):
        here, there = [slice(None)] * 3, [slice(None)] * 3
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        border[tuple(here)] |= ~mask[tuple(there)]
        border[tuple(there)] |= ~mask[tuple(here)]
    border &= mask
    border[at] = False
    plugs = np.argwhere(border)
    inside = int(np.count_nonzero(mask)) - len(voxels)
    if not len(plugs):
        return 0, inside
    nothing = np.zeros((len(plugs), 3), np.float32)
    return len(pieces(Voxels(plugs.astype(np.int16), nothing, voxels.voxel_size))[1]), inside
