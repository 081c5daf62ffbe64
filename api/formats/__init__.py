"""File formats of a generated shape: which there are, how a client chooses one, and how each is written."""

from __future__ import annotations

from api.formats.negotiation import negotiate
from api.formats.points import npz, ply, voxel_indices
from api.formats.registry import FORMATS, Format
from api.formats.saving import save
from api.formats.surface import Surface, surface
from api.formats.writing import FileWriter

__all__ = [
    "FORMATS",
    "FileWriter",
    "Format",
    "Surface",
    "negotiate",
    "npz",
    "ply",
    "save",
    "surface",
    "voxel_indices",
]
