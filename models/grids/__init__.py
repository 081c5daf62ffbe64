"""Sparse voxel grids: one small interface and the backends that implement it."""

from __future__ import annotations

from models.grids.backends import choose_backend, name_of
from models.grids.fixed import SMALL, FixedGrid, Rooms, all_rooms, counts_of, rooms_for
from models.grids.fvdb_grid import FvdbGrid
from models.grids.interface import Grid, UNetGrid
from models.grids.ordering import sort_voxels
from models.grids.torch_grid import TorchGrid

__all__ = [
    "SMALL", "FixedGrid", "FvdbGrid", "Grid", "Rooms", "TorchGrid", "UNetGrid", "all_rooms", "choose_backend",
    "counts_of", "name_of", "rooms_for", "sort_voxels",
]  # fmt: skip
