"""Which side of a mesh's faces is outside, seen from the air around it, and which faces nobody can see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from formats.meshes.mesh import Mesh
from formats.meshes.repairing import patches
from formats.meshes.voxelising import Triangles, voxelise
from models.shape import Voxels

RESOLUTION = 128
_STEP = 1.8
"""How far before and behind a face air is looked for, in voxels: more than the diagonal of the face's own."""


@dataclass(frozen=True)
class Air:
    """The voxels that can be reached from outside without passing the surface: bool [R, R, R], with a rim all round."""

    reached: NDArray[np.bool_]

    @classmethod
    def around(cls, shell: Voxels) -> Air:
        """What lies around a shell of at most RESOLUTION voxels a side."""
        side = round(1 / shell.voxel_size)
        free = np.ones((side + 2,) * 3, np.bool_)
        free[tuple((shell.ijk + side // 2 + 1).T)] = False
        parts, _ = ndimage.label(free)
        return cls(parts == parts[0, 0, 0])

    def at(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points [N, 3] in [-0.5, 0.5]³ lie in the air."""
        side = len(self.reached) - 2
        cell = np.floor(points * side).astype(np.int64) + side // 2 + 1
        result: NDArray[np.bool_] = self.reached[tuple(cell.clip(0, side + 1).T)]
        return result

    def touches(self, voxels: Voxels) -> NDArray[np.bool_]:
        """Whether voxels of any size lie in the air or beside it, corners included."""
        near = ndimage.binary_dilation(self.reached, np.ones((3, 3, 3), np.bool_))
        return Air(near).at(voxels.xyz.astype(np.float64))


def air_around(mesh: Mesh) -> Air:
    """The air around a mesh inside [-0.5, 0.5]³."""
    return Air.around(voxelise(Triangles(mesh.corners), RESOLUTION))


def turned_outwards(mesh: Mesh, air: Air) -> tuple[Mesh, int]:
    """The mesh with every patch's outer side outwards, and how many faces were turned.

    A patch is judged by its faces that have air on one side alone; one without such, as an open sheet, by its volume.
    """
    corners = mesh.corners
    cross = Triangles(corners).cross
    length = np.linalg.norm(cross, axis=1)
    unit = cross / np.maximum(length, 1e-300)[:, None]
    middle = corners.mean(1)
    before, behind = air.at(middle + unit * (_STEP / RESOLUTION)), air.at(middle - unit * (_STEP / RESOLUTION))
    number, patch = patches(mesh.faces)
    votes = np.bincount(patch, length * (before.astype(float) - behind), number)
    seen = np.bincount(patch, length, number)
    # About the middle of each patch, so that an open one counts too.
    area = np.maximum(seen, 1e-300)
    centre = np.stack([np.bincount(patch, length * middle[:, k], number) / area for k in range(3)], 1)
    volume = np.bincount(patch, (cross * (middle - centre[patch])).sum(1), number)
    inwards = np.where(np.abs(votes) > 0.02 * seen, votes < 0, volume < 0)
    flip = inwards[patch]
    return Mesh(mesh.vertices, np.where(flip[:, None], mesh.faces[:, ::-1], mesh.faces)), int(flip.sum())
