"""File formats of a generated shape: which there are, how a client chooses one, and how each is written."""

from __future__ import annotations

from api.http.negotiation import negotiate
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
    "negotiate",
    "npz",
    "ply",
    "save",
    "surface",
    "voxel_indices",
]
