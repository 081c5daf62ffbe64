"""Sparse voxel grids: one small interface and the backends that implement it."""

from __future__ import annotations

from models.voxels.interface import Grid
from models.voxels.ordering import sort_voxels
from models.voxels.torch_grid import TorchGrid

__all__ = ["Grid", "TorchGrid", "sort_voxels"]
