"""Binary PLY files whose faces have different numbers of corners, as Blender writes them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from formats.meshes.mesh import Mesh
from models.errors import MeshError

_TYPES = {
    "char": "b", "int8": "b", "uchar": "B", "uint8": "B", "short": "h", "int16": "h", "ushort": "H", "uint16": "H",
    "int": "i", "int32": "i", "uint": "I", "uint32": "I", "float": "f", "float32": "f", "double": "d", "float64": "d",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_CORNERS = ("vertex_indices", "vertex_index")


@dataclass
class _Element:
    """properties: name, type of the values, and of a list's length, else None."""

    name: str
    count: int
    properties: list[tuple[str, str, str | None]] = field(default_factory=list)


def read_ply_polygons(path: Path) -> Mesh:
    """The triangles of a binary PLY file's faces, which may have any number of corners each.

    Raises:
        MeshError: it is no binary PLY file, holds no vertices, or is cut short.
    """
    try:
        return _read(path)
    except struct.error as error:
        raise MeshError("cannot be read (it is cut short): export it again") from error


def _read(path: Path) -> Mesh:
    head, end, data = path.read_bytes().partition(b"end_header\n")
    lines = [line.split() for line in head.decode("ascii", "replace").splitlines()]
    order = next((_ORDERS.get(line[1]) for line in lines if line[:1] == ["format"]), None)
    if not end or order is None:
        raise MeshError("cannot be read: export it again as a binary PLY file")
    elements: list[_Element] = []
    for line in lines:
        if line[:1] == ["element"]:
            elements.append(_Element(line[1], int(line[2])))
        elif line[:2] == ["property", "list"]:
            elements[-1].properties.append((line[4], _TYPES[line[3]], _TYPES[line[2]]))
        elif line[:1] == ["property"]:
            elements[-1].properties.append((line[2], _TYPES[line[1]], None))
    vertices: NDArray[np.float64] | None = None
    faces: list[tuple[int, int, int]] = []
    at = 0
    for element in elements:
        if all(length is None for _, _, length in element.properties):
            rows = np.dtype([(name, order + kind) for name, kind, _ in element.properties])
            if len(data) < at + rows.itemsize * element.count:
                raise struct.error("it is cut short")
            if element.name == "vertex":
                table = np.frombuffer(data, rows, element.count, at)
                vertices = np.stack([table[axis].astype(np.float64) for axis in "xyz"], 1)
            at += rows.itemsize * element.count
        else:
            at = _polygons(data, at, element, order, faces)
    if vertices is None:
        raise MeshError("holds no vertices: export it again")
    return Mesh(vertices, np.array(faces, np.int64).reshape(-1, 3))


def _polygons(data: bytes, at: int, element: _Element, order: str, faces: list[tuple[int, int, int]]) -> int:
    """Adds the fans of an element's lists of corners to `faces`; returns where the next element begins."""
    for _ in range(element.count):
        for name, kind, length in element.properties:
            count = 1
            if length is not None:
                (count,) = struct.unpack_from(order + length, data, at)
                at += struct.calcsize(order + length)
            values = struct.unpack_from(f"{order}{count}{kind}", data, at)
            at += struct.calcsize(f"{order}{count}{kind}")
            if name in _CORNERS:
                faces += [(values[0], values[k], values[k + 1]) for k in range(1, count - 1)]
    return at
