"""A shape in finer or coarser voxels, so that its longest side has a certain number of them.

Coarser voxels are those in which the centre of a finer one lies. Finer ones are those that the surface around the
shape passes through, sampled so closely that no straight walk from outside to inside finds a gap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from formats.editing import keys_of, merged
from formats.limits import check_count
from formats.surface import Surface, surface
from models.shape import Voxels

_PER_VOXEL = 2.2
"""Samples of the surface along the edge of a voxel."""
_AT_ONCE = 2_000_000
"""Samples in memory at a time."""


def resampled(voxels: Voxels, size: int) -> Voxels:
    """The shape with `size` voxels along its longest side; it stays in its place up to half a voxel.

    Raises:
        ShapeError: that makes too many voxels.
    """
    low = voxels.ijk.min(axis=0).astype(np.int64)
    longest = int((voxels.ijk.max(axis=0) - low).max()) + 1
    if size == longest or not len(voxels):
        return voxels
    if size > longest:
        return _finer(voxels, size)
    factor = size / longest
    cell = np.floor((voxels.ijk - low + 0.5) * factor).astype(np.int64)
    return merged(cell + np.rint(low * factor).astype(np.int64), voxels.normal, voxels.voxel_size / factor)


def _finer(voxels: Voxels, size: int) -> Voxels:
    made = surface(voxels)
    low = made.vertices.min(axis=0).astype(np.float64)
    voxel_size = float((made.vertices.max(axis=0) - low).max()) / size
    corners = ((made.vertices - low) / voxel_size).clip(0.0, size - 1e-3)
    check_count(_least(corners[made.faces]), "size")
    found = [_first(cell, normal) for cell, normal in _samples(made, corners)]
    cell, normal = (np.concatenate(parts) for parts in zip(*found, strict=True))
    cell, normal = _first(cell, normal)
    check_count(len(cell), "size")
    cell += np.rint(low / voxel_size).astype(np.int64)
    return Voxels(cell.astype(np.int16), normal.astype(np.float32), voxel_size)


def _least(triangle: NDArray[np.float64]) -> int:
    """About as many voxels as triangles [F, 3, 3] pass through, at least: their shadows along the three axes."""
    across = np.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0])
    return int(np.abs(across).sum() / 2)


def _samples(made: Surface, corners: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Places on a surface, whose vertices are given in voxels: the voxels that they lie in, and unit normals."""
    triangle = corners[made.faces]
    edges = np.linalg.norm(triangle - np.roll(triangle, 1, axis=1), axis=2).max(axis=1)
    steps = np.ceil(edges * _PER_VOXEL).astype(int).clip(min=1)
    for count in np.unique(steps):
        weights = _weights(int(count))
        faces = np.flatnonzero(steps == count)
        for part in np.array_split(faces, -(-len(faces) * len(weights) // _AT_ONCE)):
            place = np.einsum("wc,fcx->fwx", weights, triangle[part]).reshape(-1, 3)
            normal = np.einsum("wc,fcx->fwx", weights, made.normals[made.faces[part]]).reshape(-1, 3)
            length = np.linalg.norm(normal, axis=1, keepdims=True)
            own = np.repeat(made.normals[made.faces[part, 0]], len(weights), axis=0)
            yield place.astype(np.int64), np.where(length > 1e-3, normal / length.clip(1e-3), own)


def _weights(steps: int) -> NDArray[np.float64]:
    """Places in a triangle as shares of its corners, [N, 3], with so many steps along each side."""
    first, second = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    inside = first + second <= steps
    pair = np.stack([first[inside], second[inside]], axis=1) / steps
    return np.concatenate([pair, 1.0 - pair.sum(axis=1, keepdims=True)], axis=1)


def _first(cell: NDArray[np.int64], normal: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    _, first = np.unique(keys_of(cell), return_index=True)
    return cell[first], normal[first]
