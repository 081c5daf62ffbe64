"""A closed triangle surface around voxels with normals.

Every voxel says where the surface is near it: the plane through its centre, across its normal. The planes' signed
distances, averaged around each grid point with Gaussian weights, are a smooth implicit function (implicit moving least
squares: Kolluri, "Provably good moving least squares", 2005), and marching cubes draws its zero level. What can be
reached from outside the grid without crossing a voxel or a negative value is outside, all else is inside: the function
has a sign everywhere and is positive at the border, so the surface has no edge, whatever the voxels are.

Functions import SciPy and scikit-image themselves, which takes half a second, for the reason told in mesh.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from formats.limits import check_cells
from models.shape import Voxels

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_MARGIN = 3
_REACH = 6
"""Squared distance in voxels up to which a voxel's plane counts."""
_THIN = -0.5
"""Value of a voxel with nothing solid behind it: a wall of one voxel becomes a slab, not noise around zero."""
_LEAST = 0.05
"""No value is nearer to zero: a vertex on a grid point would be shared by several edges and end in slivers."""


@dataclass(frozen=True)
class Surface:
    """Triangles in world units; every edge belongs to two faces.

    Attributes:
        vertices: float32 [V, 3].
        normals: Unit length, float32 [V, 3].
        faces: Rows of vertices, int32 [F, 3], counter-clockwise as seen from outside.
    """

    vertices: Floats
    normals: Floats
    faces: NDArray[np.int32]


def surface(voxels: Voxels) -> Surface:
    """The surface around voxels; without voxels it has no triangles.

    Raises:
        ShapeError: the grid around the voxels would be too large.
    """
    from skimage.measure import marching_cubes

    if len(voxels) == 0:
        return Surface(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    low = _low(voxels)
    field = _implicit(voxels.ijk - low, voxels.normal)
    found, faces, _, _ = marching_cubes(field, 0.0, gradient_direction="descent")
    vertices = found.astype(np.float64) + low
    normals = _normals(vertices, faces, voxels)
    return Surface(((vertices + 0.5) * voxels.voxel_size).astype(np.float32), normals, faces.astype(np.int32))


def with_normals(vertices: Floats, faces: NDArray[np.int32], voxels: Voxels) -> Surface:
    """A surface of other vertices, float32 [V, 3] in world units, with the normals that `surface` would give them."""
    places = vertices.astype(np.float64) / voxels.voxel_size - 0.5
    return Surface(vertices, _normals(places, faces, voxels), faces)


def solid(voxels: Voxels) -> tuple[Mask, NDArray[np.int64]]:
    """The voxels and their inside as a grid, and the position of its first cell.

    Inside is what cannot be reached from outside of the surface: a hole of a few voxels does not open it.

    Raises:
        ShapeError: the grid would be too large.
    """
    low = _low(voxels)
    shell = _Shell(voxels.ijk - low, voxels.normal)
    mask = ~shell.outside
    mask[shell.at] = True
    return mask.reshape(shell.shape), low


def _low(voxels: Voxels) -> NDArray[np.int64]:
    low: NDArray[np.int64] = voxels.ijk.min(axis=0).astype(np.int64) - _MARGIN
    return low


class _Shell:
    """The averaged distances around voxels ijk [N, 3], on the grid that holds them with a margin on every side.

    at: each voxel's place in the flat arrays. field: distances in voxels where there are any, which `band` lists.
    outside: what can be reached from the grid's border.
    """

    def __init__(self, ijk: NDArray[np.int64], normal: Floats) -> None:
        from skimage.morphology import flood

        sides = ijk.max(axis=0) + 1 + _MARGIN
        check_cells(sides)
        self.shape = tuple(int(side) for side in sides)
        self.strides = np.array([self.shape[1] * self.shape[2], self.shape[2], 1])
        self.at = ijk @ self.strides
        weight = np.zeros(np.prod(self.shape), np.float32)
        self.field = np.zeros_like(weight)
        for offset in _offsets(_REACH):
            near = self.at + offset @ self.strides
            share = np.float32(np.exp(-(offset @ offset) / 2.0))
            weight[near] += share
            self.field[near] += share * (normal @ offset.astype(np.float32))
        self.band = np.flatnonzero(weight)
        self.field[self.band] /= weight[self.band]

        wall = np.zeros(len(self.field), np.uint8)
        wall[self.band] = self.field[self.band] <= 0.0
        wall[self.at] = 1
        self.outside: Mask = np.asarray(flood(wall.reshape(self.shape), (0, 0, 0), connectivity=1)).reshape(-1)


def _implicit(ijk: NDArray[np.int64], normal: Floats) -> Floats:
    """Signed distance in voxels, within -1 … 1, on the grid that holds ijk [N, 3] with a margin on every side."""
    shell = _Shell(ijk, normal)
    field, band, outside = shell.field, shell.band, shell.outside
    own = _at_voxels(field[shell.at], shell.at, shell.strides, outside)
    signed = np.where(outside, np.float32(1.0), np.float32(-1.0))
    signed[band] = np.where(outside[band], field[band].clip(_LEAST, 1.0), field[band].clip(-1.0, -_LEAST))
    signed[shell.at] = own
    return signed.reshape(shell.shape)


def _at_voxels(value: Floats, at: NDArray[np.int64], strides: NDArray[np.int64], outside: Mask) -> Floats:
    """Values at the voxels themselves: of either sign, but solid where no neighbour is solid, or none is open."""
    solid = ~outside
    solid[at] = False
    behind = np.any([solid[at + step] for step in _offsets(3) @ strides], axis=0)
    in_front = np.any([outside[at + step] for step in _offsets(1) @ strides], axis=0)
    value = np.where(behind, value, np.minimum(value, _THIN))
    value = np.where(in_front, value, np.minimum(value, -_LEAST))
    magnitude = np.abs(value).clip(_LEAST, 1.0)
    return np.where(value < 0.0, -magnitude, magnitude).astype(np.float32)


def _offsets(reach: int) -> NDArray[np.int64]:
    """Steps [n, 3] on the grid with a squared length of at most `reach`."""
    axis = np.arange(-2, 3)
    steps = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    near: NDArray[np.int64] = steps[(steps**2).sum(axis=1) <= reach]
    return near


def _normals(vertices: NDArray[np.float64], faces: NDArray[np.integer], voxels: Voxels) -> Floats:
    """Vertex normals: those of the nearest voxels that face the way the triangles do, or else the triangles' own."""
    from scipy.spatial import cKDTree

    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    own = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            own[:, axis] += np.bincount(faces[:, corner], across[:, axis], len(vertices))
    own /= np.linalg.norm(own, axis=1, keepdims=True).clip(1e-12)
    distance, nearest = cKDTree(voxels.ijk).query(vertices, k=min(8, len(voxels)), distance_upper_bound=2.0)
    distance, nearest = distance.reshape(len(vertices), -1), nearest.reshape(len(vertices), -1)
    normal = np.zeros_like(own)
    for column in range(distance.shape[1]):
        candidate = voxels.normal[nearest[:, column].clip(max=len(voxels) - 1)]
        share = np.exp(-(distance[:, column] ** 2)) * (np.sum(candidate * own, axis=1) > 0.0)
        normal += share[:, None] * candidate
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.where(length > 1e-3, normal / length.clip(1e-3), own).astype(np.float32)
