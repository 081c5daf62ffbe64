"""Binary glTF files of one mesh, from arrays."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from formats.about import About

POINTS, TRIANGLES = 0, 4
_COMPONENTS = {"f4": 5126, "u1": 5121, "u2": 5123, "u4": 5125}
_VERTICES, _INDICES = 34962, 34963
_JSON, _BIN = b"JSON", b"BIN\0"


def glb_file(
    about: About,
    attributes: Mapping[str, NDArray[np.generic]],
    indices: NDArray[np.uint32] | None = None,
    material: Mapping[str, Any] | None = None,
) -> bytes:
    """A mesh of triangles, or of points where there are no indices.

    Args:
        about: What is told of it: its prompt is the name of its node, and the rest the extras of node and asset.
        attributes: Arrays [V, n] by glTF's names for them: 32-bit floats, or whole numbers from 0 to 1's largest. A row
            has a multiple of four bytes.
        indices: Vertices of the triangles, three each, [3 F].
        material: That of the mesh.
    """
    arrays = [np.ascontiguousarray(array) for array in attributes.values()]
    primitive: dict[str, Any] = {
        "attributes": {attribute: index for index, attribute in enumerate(attributes)},
        "mode": POINTS,
    }
    if indices is not None:
        primitive |= {"indices": len(arrays), "mode": TRIANGLES}
        arrays.append(np.ascontiguousarray(indices))
    if material is not None:
        primitive["material"] = 0
    ends = np.cumsum([array.nbytes for array in arrays]).tolist()
    accessors = [{"bufferView": view} | _accessor(array) for view, array in enumerate(arrays)]
    accessors[primitive["attributes"]["POSITION"]] |= _bounds(attributes["POSITION"])
    extras = {**about.facts(), "voxel_size": about.voxel_size}
    tree = {
        "asset": {"version": "2.0", "generator": "xcube-serve", "extras": extras},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": about.title(), "extras": extras}],
        "meshes": [{"primitives": [primitive]}],
        **({} if material is None else {"materials": [material]}),
        "accessors": accessors,
        "bufferViews": [
            {
                "buffer": 0,
                "byteOffset": end - array.nbytes,
                "byteLength": array.nbytes,
                "target": _VERTICES if view < len(attributes) else _INDICES,
            }
            for view, (array, end) in enumerate(zip(arrays, ends, strict=True))
        ],
        "buffers": [{"byteLength": ends[-1]}],
    }
    text = orjson.dumps(tree)
    text += b" " * (-len(text) % 4)
    whole = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + ends[-1])
    return b"".join([whole, _head(len(text), _JSON), text, _head(ends[-1], _BIN), *(array.data for array in arrays)])


def linear(colour: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Colours [N, 3] of sRGB as glTF has them at vertices: of linear light, with a full opacity, [N, 4]."""
    srgb = np.arange(256) / 255.0
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    rgba = np.full((len(colour), 4), 65535, "<u2")
    rgba[:, :3] = np.rint(65535.0 * light)[colour]
    return rgba


def _accessor(array: NDArray[np.generic]) -> dict[str, Any]:
    kind = array.dtype.str[1:]
    entry = {
        "componentType": _COMPONENTS[kind],
        "count": len(array),
        "type": "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}",
    }
    return entry | ({"normalized": True} if array.ndim > 1 and kind != "f4" else {})


def _bounds(xyz: NDArray[Any]) -> dict[str, list[float]]:
    columns = xyz.T  # one by one: along the first axis NumPy takes ten times as long
    return {"min": [float(column.min()) for column in columns], "max": [float(column.max()) for column in columns]}


def _head(length: int, kind: bytes) -> bytes:
    return struct.pack("<I4s", length, kind)
