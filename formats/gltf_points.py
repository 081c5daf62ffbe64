"""A binary glTF of points with normals, which trimesh would write without the normals.

Viewers light no points: each has a colour made from its normal, or else a shape would be a white silhouette.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from formats.kinds import Points

_FLOAT, _BYTE, _ARRAY_BUFFER, _POINTS = 5126, 5121, 34962, 0
_JSON, _BIN = b"JSON", b"BIN\0"


def glb_points(points: Points, about: dict[str, Any]) -> bytes:
    """glTF points with POSITION, NORMAL and COLOR_0; `about` becomes the extras of its asset."""
    xyz = points.xyz.astype("<f4")
    normal = points.normal.astype("<f4")
    count = len(xyz)
    colour = np.full((count, 4), 255, np.uint8)
    colour[:, :3] = points.colour
    parts = [np.ascontiguousarray(each).data for each in (xyz, normal, colour)]
    ends = np.cumsum([part.nbytes for part in parts]).tolist()
    vector = {"componentType": _FLOAT, "count": count, "type": "VEC3"}
    rgba = {"componentType": _BYTE, "normalized": True, "count": count, "type": "VEC4"}
    attributes = {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}
    tree = {
        "asset": {"version": "2.0", "generator": "xcube-serve", "extras": about},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "points"}],
        "meshes": [{"primitives": [{"attributes": attributes, "mode": _POINTS}]}],
        "accessors": [
            {**vector, "bufferView": 0, **_bounds(xyz)},
            {**vector, "bufferView": 1},
            {**rgba, "bufferView": 2},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": end - part.nbytes, "byteLength": part.nbytes, "target": _ARRAY_BUFFER}
            for part, end in zip(parts, ends, strict=True)
        ],
        "buffers": [{"byteLength": ends[-1]}],
    }
    text = orjson.dumps(tree)
    text += b" " * (-len(text) % 4)
    whole = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + ends[-1])
    return b"".join([whole, _head(len(text), _JSON), text, _head(ends[-1], _BIN), *parts])


def _bounds(xyz: NDArray[np.float32]) -> dict[str, list[float]]:
    columns = xyz.T  # one by one: along the first axis NumPy takes ten times as long
    return {"min": [float(column.min()) for column in columns], "max": [float(column.max()) for column in columns]}


def _head(length: int, kind: bytes) -> bytes:
    return struct.pack("<I4s", length, kind)
