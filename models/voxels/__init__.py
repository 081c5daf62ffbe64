"""Sparse voxel grids: one small interface and the backends that implement it."""

from __future__ import annotations

from models.voxels.backends import GridClass, choose_backend, name_of
from models.voxels.fvdb_grid import FvdbGrid
from models.voxels.interface import Grid
from models.voxels.ordering import sort_voxels
from models.voxels.torch_grid import TorchGrid

__all__ = ["FvdbGrid", "Grid", "GridClass", "TorchGrid", "choose_backend", "name_of", "sort_voxels"]
