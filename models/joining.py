"""A part of a shape replaced by that of another, so that all else stays and the seam is whole. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.shape import Voxels

Mask = NDArray[np.bool_]
Corner = tuple[float, float, float]


@dataclass(frozen=True)
class Box:
    """The part of the world between two corners, low and high; a voxel is in it if its centre is."""

    low: Corner
    high: Corner

    def holds(self, ijk: NDArray[np.integer], voxel_size: float) -> Mask:
        """Which voxels [N, 3] are in it: bool [N]."""
        centre = (ijk.astype(np.float64) + 0.5) * voxel_size
        return np.asarray(((centre >= self.low) & (centre <= self.high)).all(axis=1))

    def meets(self, ijk: NDArray[np.integer], voxel_size: float, factor: int) -> Mask:
        """Which cells [N, 3], each of `factor` voxels along an axis, have a voxel in it: bool [N]."""
        first = (ijk.astype(np.float64) * factor + 0.5) * voxel_size
        last = first + (factor - 1) * voxel_size
        # The first centre that is not below `low` has to be one of the cell's, and not above `high`.
        low = first + np.ceil((np.asarray(self.low) - first) / voxel_size - 1e-9).clip(min=0) * voxel_size
        return np.asarray(((low <= last + 1e-9) & (low <= np.asarray(self.high) + 1e-9)).all(axis=1))


def joined(kept: Voxels, made: Voxels, box: Box) -> Voxels:
    """The voxels of `kept` outside of a box and those of `made` in it.

    No inside that either shape encloses is open at the seam: where the inside of one meets the air of the other, the
    voxel in the box becomes part of the shell.

    Args:
        kept: Stays outside of the box, voxel by voxel.
        made: Voxels of the same size, of which those in the box are taken.
        box: What is replaced.
    """
    old = kept.ijk[~box.holds(kept.ijk, kept.voxel_size)], kept.normal[~box.holds(kept.ijk, kept.voxel_size)]
    chosen = box.holds(made.ijk, made.voxel_size)
    new = made.ijk[chosen], made.normal[chosen]
    cap, outwards = _caps(kept, made, box)
    ijk = np.concatenate([old[0], new[0], cap.astype(np.int16)])
    normal = np.concatenate([old[1], new[1], outwards])
    order = np.lexsort(ijk.T[::-1])
    return Voxels(ijk[order], normal[order], kept.voxel_size)


def _caps(kept: Voxels, made: Voxels, box: Box) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Voxels of the box that close the seam, [N, 3], and their normals."""
    both = np.concatenate([kept.ijk, made.ijk]).astype(np.int64)
    if not len(both):
        return np.zeros((0, 3), np.int64), np.zeros((0, 3), np.float32)
    low = both.min(axis=0) - 1
    shape = tuple(both.max(axis=0) - low + 2)
    corners = [np.arange(length) + start for length, start in zip(shape, low, strict=True)]
    axes = [
        (((line + 0.5) * kept.voxel_size >= one) & ((line + 0.5) * kept.voxel_size <= other))
        for line, one, other in zip(corners, box.low, box.high, strict=True)
    ]
    inside_box = axes[0][:, None, None] & axes[1][None, :, None] & axes[2][None, None, :]
    full, enclosed = (
        np.where(inside_box, new, old)
        for old, new in zip(_filled(kept, low, shape), _filled(made, low, shape), strict=True)
    )
    caps, normals = [], []
    for axis in range(3):
        for step in (-1, 1):
            # What lies a step further along the axis; the rim of the grid is air, which is all that rolls over.
            beyond = [np.roll(each, -step, axis) for each in (full, enclosed, inside_box)]
            open_seam = inside_box & ~beyond[2] & ~full & ~beyond[0] & (enclosed != beyond[1])
            found = np.argwhere(open_seam)
            towards_air = np.where(enclosed[open_seam], step, -step)
            normal = np.zeros((len(found), 3), np.float32)
            normal[:, axis] = towards_air
            caps.append(found + low)
            normals.append(normal)
    every, total = np.concatenate(caps), np.concatenate(normals)
    ijk, of = np.unique(every, axis=0, return_inverse=True)
    summed = np.zeros((len(ijk), 3), np.float32)
    np.add.at(summed, of.reshape(-1), total)
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    first = np.zeros_like(summed)
    first[of.reshape(-1)] = total
    return ijk, np.where(length > 0.5, summed / np.maximum(length, 0.5), first).astype(np.float32)


def _filled(voxels: Voxels, low: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Where voxels are, and where the empty space is that they enclose, in a grid from `low` on."""
    from scipy.ndimage import binary_fill_holes

    full = np.zeros(shape, np.bool_)
    full[tuple((voxels.ijk - low).T)] = True
    return full, binary_fill_holes(full) & ~full
