"""3MF: a zip with XML, objects made of triangles or of other objects, and the items that are to be printed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from formats.meshes.mesh import Mesh
from models.errors import MeshError

_CORE = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
_DEEPEST = 16
_LARGEST = 1 << 30
"""Bytes of XML."""


def read_3mf(path: Path) -> list[Mesh]:
    """The items of the first model in a 3MF file, moved to their places; all objects where it lists no items."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".model")]
        if not names:
            raise MeshError("holds no model: export it again")
        entry = archive.getinfo(min(names, key=lambda name: (name.count("/"), name)))
        if entry.file_size > _LARGEST:
            raise MeshError(f"holds more than {_LARGEST >> 30} GB of XML: simplify it first")
        root = ElementTree.fromstring(archive.read(entry))
    objects = {item.get("id", ""): item for item in root.iter(f"{_CORE}object")}
    meshes = {key: _mesh(item) for key, item in objects.items()}
    items = [(item.get("objectid", ""), _matrix(item.get("transform"))) for item in root.iter(f"{_CORE}item")]
    return [
        part
        for key, matrix in items or [(key, _matrix(None)) for key in objects]
        for part in _placed(key, matrix, objects, meshes, 0)
    ]


def _placed(
    key: str, matrix: NDArray[np.float64], objects: dict[str, Element], meshes: dict[str, Mesh | None], depth: int
) -> list[Mesh]:
    if depth > _DEEPEST or key not in objects:
        raise MeshError(f"refers to an object {key!r} that is not in it: export it again")
    mesh = meshes[key]
    if mesh is not None:
        flipped = np.linalg.det(matrix[:3]) < 0
        return [Mesh(mesh.vertices @ matrix[:3] + matrix[3], mesh.faces[:, ::-1] if flipped else mesh.faces)]
    found = []
    for part in objects[key].iter(f"{_CORE}component"):
        own = _matrix(part.get("transform"))
        combined = np.vstack((own[:3] @ matrix[:3], own[3] @ matrix[:3] + matrix[3]))
        found += _placed(part.get("objectid", ""), combined, objects, meshes, depth + 1)
    return found


def _matrix(text: str | None) -> NDArray[np.float64]:
    """[4, 3], to be multiplied from the right: three rows that turn and scale, and one that moves."""
    if text is None:
        return np.vstack((np.eye(3), np.zeros(3)))
    return np.array(text.split(), np.float64).reshape(4, 3)


def _mesh(item: Element) -> Mesh | None:
    found = item.find(f"{_CORE}mesh")
    if found is None:
        return None
    vertices = [[float(v.get(axis, "nan")) for axis in "xyz"] for v in found.iter(f"{_CORE}vertex")]
    faces = [[int(t.get(corner, "-1")) for corner in ("v1", "v2", "v3")] for t in found.iter(f"{_CORE}triangle")]
    return Mesh(np.array(vertices, np.float64).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3))
