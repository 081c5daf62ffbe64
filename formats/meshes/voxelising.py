"""From triangles to the shell of voxels that they pass through, exactly, with the normals of the surface.

A voxel belongs to the shell when a triangle and its cube share a point: the separating axes of triangle and box, in
the order of Schwarz and Seidel ("Fast parallel surface and solid voxelization on GPUs", 2010). A triangle is looked at
along the axis that it faces most, so that it meets few cubes in each column. Loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.shape import Voxels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CANDIDATES = 1_000_000
"""Pairs of triangle and cube that are looked at together: bounds memory at about 300 MB."""
NUDGE = 1e-4
"""Of a voxel: keeps a face between two voxels from belonging to both."""
CANCELLED = 0.3
"""Length of a mean normal below which a voxel holds two sides of a wall."""


@dataclass(frozen=True)
class Triangles:
    """corners: float64 [F, 3, 3], triangle, corner, axis; the order of the corners gives the side that is outside."""

    corners: Floats

    def __len__(self) -> int:
        return len(self.corners)

    @property
    def cross(self) -> Floats:
        """Normals whose length is twice the area, [F, 3]."""
        c = self.corners
        return np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0])


def voxelise(triangles: Triangles, resolution: int) -> Voxels:
    """The shell of triangles inside [-0.5, 0.5]³ at `resolution` voxels a side; what lies outside is cut off.

    A voxel's normal is the mean of its triangles' normals by area; where a voxel holds both sides of a thin wall and
    they cancel, that of the side nearest to its centre.
    """
    grid = triangles.corners * resolution + (NUDGE, NUDGE * 0.7, NUDGE * 0.4)
    cross = Triangles(grid).cross
    area = np.linalg.norm(cross, axis=1) / 2
    solid = area > 1e-12
    grid, area = grid[solid], area[solid]
    normal = cross[solid] / (2 * area[:, None])
    faces, keys = _pairs(grid, normal, resolution)
    if not len(faces):
        return Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / resolution)
    # Sorted as one number, which takes a third of the time of sorting rows.
    keys, faces = np.divmod(np.sort(keys * len(grid) + faces), len(grid))
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    ijk = _unpack(keys[first], resolution)
    mean = _mean_normals(grid, normal, area, faces, first, ijk)
    return Voxels(ijk.astype(np.int16), mean.astype(np.float32), 1 / resolution)


def coarsened(fine: Voxels, factor: int) -> Voxels:
    """The voxels `factor` times as large that hold a fine one, with the mean normal of what they hold."""
    side = round(1 / fine.voxel_size) // factor
    parent = np.floor_divide(fine.ijk, factor).astype(np.int64) + side // 2
    keys, rows = np.unique((parent[:, 0] * side + parent[:, 1]) * side + parent[:, 2], return_inverse=True)
    total = np.stack([np.bincount(rows, fine.normal[:, k], len(keys)) for k in range(3)], 1)
    count = np.bincount(rows, minlength=len(keys))[:, None]
    lengths = np.linalg.norm(total, axis=1, keepdims=True)
    one = np.zeros(len(keys), np.int64)
    one[rows] = np.arange(len(rows))
    normal = np.where(lengths < CANCELLED * count, fine.normal[one], total / np.maximum(lengths, 1e-12))
    return Voxels(_unpack(keys, side).astype(np.int16), normal.astype(np.float32), fine.voxel_size * factor)


def _unpack(keys: Ints, resolution: int) -> Ints:
    i, rest = np.divmod(keys, resolution * resolution)
    j, k = np.divmod(rest, resolution)
    return np.stack((i, j, k), 1) - resolution // 2


def _pairs(grid: Floats, normal: Floats, resolution: int) -> tuple[Ints, Ints]:
    """Every triangle with every voxel that it meets: rows of triangles, and keys of voxels. grid: in voxels."""
    axis = np.abs(normal).argmax(1)
    found: list[tuple[Ints, Ints]] = []
    for w in range(3):
        rows = np.flatnonzero(axis == w)
        # Turned so that the triangle faces the last axis: a cyclic order keeps the orientation.
        axes = ((w + 1) % 3, (w + 2) % 3, w)
        corners = grid[rows][:, :, axes]
        low = np.floor(corners.min(1)[:, :2]).clip(-resolution // 2, resolution // 2).astype(np.int64)
        high = np.floor(corners.max(1)[:, :2]).clip(-resolution // 2 - 1, resolution // 2 - 1).astype(np.int64)
        spans = (high - low + 1).clip(min=0)
        for part in _chunks(spans[:, 0] * spans[:, 1]):
            owner, cells = _columns(low[part], spans[part])
            if len(owner):
                meeting, ijk = _stacks(corners[part], normal[rows[part]][:, axes], owner, cells, resolution)
                back = ijk[:, np.argsort(axes)] + resolution // 2
                keys = (back[:, 0] * resolution + back[:, 1]) * resolution + back[:, 2]
                found.append((rows[part][meeting], keys))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([f for f, _ in found]), np.concatenate([k for _, k in found])


def _chunks(counts: Ints) -> list[NDArray[np.intp]]:
    """Rows in parts of about CANDIDATES candidates each; those without any are left out."""
    rows = np.flatnonzero(counts)
    if not len(rows):
        return []
    part = np.cumsum(counts[rows]) // CANDIDATES
    return np.split(rows, np.flatnonzero(np.diff(part)) + 1)


def _columns(low: Ints, spans: Ints) -> tuple[Ints, Ints]:
    """All cells of each triangle's bounding rectangle: the triangle's row [M], and the cell [M, 2]."""
    counts = spans[:, 0] * spans[:, 1]
    owner = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    across = spans[owner, 1]
    row = within // across
    return owner, np.stack((row, within - row * across), 1) + low[owner]


def _stacks(corners: Floats, normal: Floats, owner: Ints, cells: Ints, resolution: int) -> tuple[Ints, Ints]:
    """Of the columns of cells, the voxels that their triangle meets: rows of triangles, and ijk [M, 3]."""
    meets = _overlaps(corners[:, :, :2], normal[:, 2], owner, cells)
    owner, cells = owner[meets], cells[meets]
    # The plane's height over the column: at the centre, give or take half of its slopes.
    slope = -normal[:, :2] / normal[:, 2:]
    middle = corners[owner, 0, 2] + ((cells + 0.5 - corners[owner, 0, :2]) * slope[owner]).sum(1)
    reach = np.abs(slope).sum(1)[owner] / 2
    bottom, top = corners[:, :, 2].min(1)[owner], corners[:, :, 2].max(1)[owner]
    half = resolution // 2
    lowest, highest = np.floor(np.maximum(middle - reach, bottom)), np.floor(np.minimum(middle + reach, top))
    low = lowest.clip(-half, half).astype(np.int64)
    high = highest.clip(-half - 1, half - 1).astype(np.int64)
    count = (high - low + 1).clip(min=0)
    # What a triangle has in a column lies in that voxel if there is but one: nothing is left to look at.
    one = (lowest == highest) & (count == 1)
    single = owner[one], np.column_stack((cells[one], low[one]))
    count[one] = 0
    rows = np.repeat(np.arange(len(owner)), count)
    height = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count) + low[rows]
    owner, ijk = owner[rows], np.column_stack((cells[rows], height))
    for k in (0, 1):
        # The two other views.
        rest = [1 - k, 2]
        sign = normal[:, k] if k == 0 else -normal[:, k]
        inside = _overlaps(corners[:, :, rest], sign, owner, ijk[:, rest])
        owner, ijk = owner[inside], ijk[inside]
    return np.concatenate((single[0], owner)), np.concatenate((single[1], ijk))


def _overlaps(corners: Floats, facing: Floats, owner: Ints, cells: Ints) -> NDArray[np.bool_]:
    """Whether no edge of a triangle in the plane has all of a unit square on its outer side.

    corners: [F, 3, 2]; facing: [F], positive where the corners run counter-clockwise; owner: [M]; cells: [M, 2].
    """
    sign = np.where(facing >= 0, 1.0, -1.0)[:, None]
    edge = np.roll(corners, -1, 1) - corners
    inward_x, inward_y = -edge[:, :, 1] * sign, edge[:, :, 0] * sign
    # The edge's function at the corner of the square that lies furthest inwards.
    offset = -(inward_x * corners[:, :, 0] + inward_y * corners[:, :, 1]) + inward_x.clip(min=0) + inward_y.clip(min=0)
    x, y = cells[:, 0].astype(np.float64), cells[:, 1].astype(np.float64)
    result = np.ones(len(owner), np.bool_)
    for k in range(3):
        result &= inward_x[owner, k] * x + inward_y[owner, k] * y + offset[owner, k] >= 0
    return result


def _mean_normals(
    grid: Floats, normal: Floats, area: Floats, faces: Ints, first: NDArray[np.intp], ijk: Ints
) -> Floats:
    """Unit normals of voxels, whose triangles are `faces[first[n]:first[n + 1]]`."""
    weight = np.minimum(area[faces], 1.0)
    total = np.stack([np.add.reduceat(normal[faces, k] * weight, first) for k in range(3)], 1)
    amount = np.add.reduceat(weight, first)
    length = np.linalg.norm(total, axis=1)
    mean: Floats = total / np.maximum(length, 1e-300)[:, None]
    torn = np.flatnonzero(length < CANCELLED * amount)
    if len(torn):
        ends = np.r_[first[1:], len(faces)]
        counts = (ends - first)[torn]
        rows = np.repeat(np.arange(len(torn)), counts)
        pairs = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + first[torn][rows]
        centre = ijk[torn][rows] + 0.5
        face = faces[pairs]
        distance = np.abs(((centre - grid[face, 0]) * normal[face]).sum(1)) - 1e-3 * weight[pairs]
        order = np.lexsort((distance, rows))
        nearest = order[np.r_[True, np.diff(rows[order]) > 0]]
        mean[torn] = normal[face[nearest]]
    return mean
