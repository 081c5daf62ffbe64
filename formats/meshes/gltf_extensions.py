"""What a glTF file demands of its readers: compressed meshes are told apart from empty ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from models.errors import MeshError

COMPRESSIONS = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshoptimizer",
    "KHR_meshopt_compression": "meshoptimizer",
}
_HEAD = 20
"""Bytes of a GLB file before its JSON: magic, version, length, and the JSON's length and type."""


def check_readable(path: Path, kind: str) -> None:
    """Raises MeshError if the meshes in a file (`glb` or `gltf`) are compressed in a way that cannot be read."""
    with path.open("rb") as file:
        if kind == "glb":
            head = file.read(_HEAD).ljust(_HEAD, b"\0")
            about = json.loads(file.read(struct.unpack_from("<I", head, 12)[0]))
        else:
            about = json.loads(file.read())
    for name in about.get("extensionsRequired") or ():
        if name in COMPRESSIONS:
            raise MeshError(f"is compressed with {COMPRESSIONS[name]}: export it without compression")
