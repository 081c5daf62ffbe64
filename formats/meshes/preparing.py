"""Any mesh as the voxels of both stages: repaired, upright, fitted into the cube, seen from outside."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from formats.meshes.facing import air_around, turned_outwards
from formats.meshes.mesh import Mesh
from formats.meshes.repairing import repaired
from formats.meshes.voxelising import Triangles, coarsened, voxelise
from models.errors import MeshError
from models.shape import Voxels

FACTOR = 4
"""Fine voxels in a coarse one, along each axis."""
LONGEST = 0.9
"""Longest side of a shape in the cube of side 1, about that of the demo models' shapes."""
RESOLUTIONS = (32, 64, 128, 256, 512)
MOSTLY_SEEN = 0.98
"""Share of voxels from which on those that nobody sees are not worth a word."""
FEWEST = 8
"""Voxels of a shape that is one."""


@dataclass(frozen=True)
class Prepared:
    """notes: what was repaired, as parts of a sentence."""

    coarse: Voxels
    fine: Voxels
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Equal for the same shape in another file, format, place or size."""
        return hashlib.blake2b(self.fine.ijk.tobytes(), digest_size=16).hexdigest()


def prepare(mesh: Mesh, resolution: int = 128, *, hidden: bool = False) -> Prepared:
    """A mesh with +y up as shells of `resolution` and a quarter of it, with normals that point outwards.

    Args:
        mesh: The mesh, at any place, of any size, with any faults.
        resolution: Fine voxels a side, one of RESOLUTIONS.
        hidden: Whether surfaces that cannot be seen from outside are kept.

    Raises:
        MeshError: there is no surface that could be used.
    """
    sound = repaired(mesh)
    notes = list(sound.notes)
    fitted = sound.mesh.fitted(LONGEST)
    air = air_around(fitted)
    turned, count = turned_outwards(fitted, air)
    if count:
        notes.append(f"{count:,} faces turned outwards")
    fine = voxelise(Triangles(turned.corners), resolution)
    if not hidden:
        seen = air.touches(fine)
        if seen.mean() < MOSTLY_SEEN:
            notes.append(f"{int((~seen).sum()):,} voxels inside left out, which nobody can see")
        fine = Voxels(fine.ijk[seen], fine.normal[seen], fine.voxel_size)
    if len(fine) < FEWEST:
        raise MeshError(
            "has too little surface to be seen at its size: remove parts that lie far from the rest, or export it with "
            "its surface"
        )
    return Prepared(coarsened(fine, FACTOR), fine, tuple(notes))
