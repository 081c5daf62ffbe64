"""File formats of a shape, usable without any server: which there are, and how each is written."""

from __future__ import annotations

from formats.kinds import Format
from formats.options import OptionError, Options
from formats.pipeline import File, file_of
from formats.points import npz, ply, voxel_indices
from formats.registry import FORMATS
from formats.saving import save
from formats.surface import Surface, surface
from formats.writing import FileWriter

__all__ = [
    "FORMATS",
    "File",
    "FileWriter",
    "Format",
    "OptionError",
    "Options",
    "Surface",
    "file_of",
    "npz",
    "ply",
    "save",
    "surface",
    "voxel_indices",
]
