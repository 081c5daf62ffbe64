"""PLY files of points, as this service and point cloud tools write them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from models.errors import MeshError

Floats = NDArray[np.float64]
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST_HEADER = 1 << 16


def read_ply_points(content: bytes) -> tuple[Floats, Floats | None] | None:
    """Positions and, if there are any, normals, [N, 3] each; None where the file has faces and is a mesh.

    Raises:
        MeshError: it is no PLY file, or shorter than its header says.
    """
    end = content.find(b"end_header", 0, _LONGEST_HEADER)
    if not content.startswith(b"ply") or end < 0:
        raise MeshError("is no PLY file: export it again")
    start = content.find(b"\n", end) + 1
    lines = [line.split() for line in content[:end].decode("ascii", "replace").splitlines()]
    counts = {line[1]: int(line[2]) for line in lines if line[:1] == ["element"] and line[2:3] and line[2].isdigit()}
    if counts.get("face", 0) or counts.get("tristrips", 0):
        return None
    form = next((line[1] for line in lines if line[:1] == ["format"] and len(line) > 1), "")
    elements = [line for line in lines if line[:1] in (["element"], ["property"])]
    if elements[:1] != [line for line in elements if line[:2] == ["element", "vertex"]][:1] or "vertex" not in counts:
        raise MeshError("has no points first: export it again as points or as a mesh")
    properties = []
    for line in elements[1:]:
        if line[0] == "element":
            break
        if len(line) != 3 or line[1] not in _TYPES:
            raise MeshError("has points with properties that are no numbers: export it again")
        properties.append((line[2], _ORDERS.get(form, "<") + _TYPES[line[1]]))
    names = [name for name, _ in properties]
    if not {"x", "y", "z"} <= set(names) or len(set(names)) < len(names):
        raise MeshError("has points without x, y and z: export it again")
    columns = _columns(content[start:], form, counts["vertex"], properties)
    xyz, normal = (
        np.stack([columns[name].astype(np.float64) for name in three], axis=1) if set(three) <= set(names) else None
        for three in (("x", "y", "z"), ("nx", "ny", "nz"))
    )
    assert xyz is not None
    return xyz, normal


def _columns(body: bytes, form: str, count: int, properties: list[tuple[str, str]]) -> dict[str, NDArray[np.number]]:
    """The table of points by the names of its properties."""
    names = [name for name, _ in properties]
    dtype = np.dtype(properties)
    try:
        if form == "ascii":
            table = np.loadtxt(io.BytesIO(body), max_rows=count, ndmin=2) if count else np.zeros((0, len(names)))
            if table.shape == (count, len(names)):
                return dict(zip(names, table.T, strict=True))
        elif form in _ORDERS and count * dtype.itemsize <= len(body):
            packed = np.frombuffer(body, dtype, count)
            return {name: packed[name] for name in names}
    except ValueError as error:
        raise MeshError("has points that cannot be read: export it again") from error
    raise MeshError("is shorter than its header says: send the whole file")
