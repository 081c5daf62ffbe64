"""A binary glTF of points with normals, which trimesh would write without the normals."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.result import Voxels

_FLOAT, _ARRAY_BUFFER, _POINTS = 5126, 34962, 0
_JSON, _BIN = b"JSON", b"BIN\0"


def glb_points(voxels: Voxels, about: dict[str, Any]) -> bytes:
    """Voxel centres as glTF points with POSITION and NORMAL; `about` becomes the extras of its asset."""
    xyz = voxels.xyz.astype("<f4")
    normal = voxels.normal.astype("<f4")
    vector = {"componentType": _FLOAT, "count": len(voxels), "type": "VEC3"}
    attributes = {"POSITION": 0, "NORMAL": 1}
    tree = {
        "asset": {"version": "2.0", "generator": "xcube-serve", "extras": about},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "points"}],
        "meshes": [{"primitives": [{"attributes": attributes, "mode": _POINTS}]}],
        "accessors": [{**vector, "bufferView": 0, **_bounds(xyz)}, {**vector, "bufferView": 1}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": xyz.nbytes, "target": _ARRAY_BUFFER}
            for start in (0, xyz.nbytes)
        ],
        "buffers": [{"byteLength": 2 * xyz.nbytes}],
    }
    text = orjson.dumps(tree)
    chunks = _chunk(_JSON, text + b" " * (-len(text) % 4)) + _chunk(_BIN, xyz.tobytes() + normal.tobytes())
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _bounds(xyz: NDArray[np.float32]) -> dict[str, list[float]]:
    return {"min": xyz.min(axis=0).tolist(), "max": xyz.max(axis=0).tolist()}


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("<I4s", len(content), kind) + content
