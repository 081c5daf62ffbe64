"""File formats of a shape, usable without any server: which there are, and how each is written."""

from __future__ import annotations

from formats.points import npz, ply, voxel_indices
from formats.registry import FORMATS, Format
from formats.saving import save
from formats.surface import Surface, surface
from formats.writing import FileWriter

__all__ = [
    "FORMATS",
    "FileWriter",
    "Format",
    "Surface",
    "npz",
    "ply",
    "save",
    "surface",
    "voxel_indices",
]
