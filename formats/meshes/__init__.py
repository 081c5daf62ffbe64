"""Meshes of others: read from files, repaired, turned the right way and made into voxels. Loads no torch."""

from __future__ import annotations

from formats.meshes.mesh import Mesh
from formats.meshes.preparing import Prepared, prepare
from formats.meshes.reading import SUFFIXES, read_mesh
from formats.meshes.voxelising import Triangles, coarsened, voxelise

__all__ = ["SUFFIXES", "Mesh", "Prepared", "Triangles", "coarsened", "prepare", "read_mesh", "voxelise"]
