"""Changes of voxels: turned, placed, made symmetric, halved, rid of crumbs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from formats.options import Axis, Origin, Up
from models.shape import Voxels

_AXES: tuple[Axis, ...] = ("x", "y", "z")
_BITS = 21
"""Bits of a key for each axis."""
CRUMB = 0.01
"""Share of all voxels below which a piece that touches nothing is left out."""

Keys = NDArray[np.int64]


def turned(voxels: Voxels, up: Up) -> Voxels:
    """The voxels, whose y is up, in a frame where `up` is: a quarter turn around x, so that y goes to z, z to -y."""
    if up == "y":
        return voxels
    i, j, k = voxels.ijk.T
    x, y, z = voxels.normal.T
    return Voxels(np.stack([i, -k - 1, j], axis=1), np.stack([x, -z, y], axis=1), voxels.voxel_size)


def placed(voxels: Voxels, origin: Origin, up: Up) -> Voxels:
    """The voxels moved so that 0 is where `origin` says; `up` is the axis that is up in their frame."""
    if origin == "centre" or not len(voxels):
        return voxels
    low = np.array([column.min() for column in voxels.ijk.T])  # by columns: along rows NumPy takes ten times as long
    if origin == "ground":
        low = low * (np.arange(3) == _AXES.index(up))
    return replace(voxels, ijk=(voxels.ijk - low).astype(np.int16))


def mirrored(voxels: Voxels, axis: Axis) -> Voxels:
    """The voxels and their mirror images, with the plane in the middle of the shape; its size stays as it is."""
    if not len(voxels):
        return voxels
    column = _AXES.index(axis)
    image, normal = voxels.ijk.copy(), voxels.normal.copy()
    image[:, column] = image[:, column].min() + image[:, column].max() - image[:, column]
    normal[:, column] = -normal[:, column]
    return merged(np.concatenate([voxels.ijk, image]), np.concatenate([voxels.normal, normal]), voxels.voxel_size)


def halved(voxels: Voxels) -> Voxels:
    """The voxels of a grid half as fine: those that hold one, with the mean of the normals."""
    return merged(voxels.ijk >> 1, voxels.normal, 2.0 * voxels.voxel_size)


def merged(ijk: NDArray[np.integer], normal: NDArray[np.float32], voxel_size: float) -> Voxels:
    """Voxels from positions [N, 3] of which several may be one voxel: that gets the mean of their normals [N, 3].

    Where normals cancel out, it gets the first of them.
    """
    keys, first, of = np.unique(keys_of(ijk), return_index=True, return_inverse=True)
    if len(keys) == len(ijk):
        return Voxels(ijk[first].astype(np.int16), normal[first], voxel_size)
    total = np.stack([np.bincount(of, column, len(keys)) for column in normal.T], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    mean = np.where(length > 1e-3, total / length.clip(1e-3), normal[first])
    return Voxels(ijk[first].astype(np.int16), mean.astype(np.float32), voxel_size)


def without_crumbs(voxels: Voxels, share: float = CRUMB) -> tuple[Voxels, int]:
    """The voxels without pieces that hold less than a share of them, and how many pieces those were.

    The largest piece stays, whatever its share.
    """
    piece, sizes = pieces(voxels)
    if len(sizes) < 2:
        return voxels, 0
    small = sizes < share * len(voxels)
    small[np.argmax(sizes)] = False
    kept = ~small[piece]
    return Voxels(voxels.ijk[kept], voxels.normal[kept], voxels.voxel_size), int(small.sum())


def pieces(voxels: Voxels) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The piece that each voxel belongs to, [N], and the sizes of the pieces.

    Voxels of one piece touch each other, be it by a corner.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys = keys_of(voxels.ijk)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    rows, columns = [], []
    for step in _half_of_the_neighbours():
        at = np.searchsorted(keys, keys + step).clip(max=len(keys) - 1)
        found = np.flatnonzero(keys[at] == keys + step)
        rows.append(found)
        columns.append(at[found])
    row, column = np.concatenate(rows), np.concatenate(columns)
    links = coo_array((np.ones(len(row), np.int8), (row, column)), shape=(len(keys), len(keys)))
    _, found = connected_components(links, directed=False)
    piece = np.empty_like(found)
    piece[order] = found
    return piece, np.bincount(piece)


def keys_of(ijk: NDArray[np.integer]) -> Keys:
    """One number for each position [N, 3], ascending in (i, j, k); that of a sum is the sum of their `step_of`s."""
    return step_of(ijk.astype(np.int64) + (1 << (_BITS - 1)))


def step_of(ijk: NDArray[np.int64]) -> Keys:
    """How much a step [..., 3] adds to a key."""
    return (((ijk[..., 0] << _BITS) + ijk[..., 1]) << _BITS) + ijk[..., 2]


def _half_of_the_neighbours() -> Keys:
    steps = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    keys = step_of(steps.astype(np.int64))
    return keys[keys > 0]


def ascending(voxels: Voxels) -> Voxels:
    """The voxels in ascending order of (i, j, k)."""
    order = np.argsort(keys_of(voxels.ijk))
    return Voxels(voxels.ijk[order], voxels.normal[order], voxels.voxel_size)
