"""Files of meshes and voxels of others, as one mesh each."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from formats.meshes.gltf_extensions import check_readable
from formats.meshes.mesh import Mesh
from formats.meshes.ply_polygons import read_ply_polygons
from formats.meshes.polygons import without_notches
from formats.meshes.three_mf import read_3mf
from formats.meshes.voxel_files import read_npz, read_vox
from models.errors import MeshError

Z_UP = frozenset({".stl", ".3mf", ".vox"})
"""Formats in which z is up by convention; in the others it is y."""
MOST_FACES = 5_000_000


def _by_trimesh(path: Path) -> Mesh:
    """Everything in a file of a format that trimesh reads, scenes with their transforms."""
    kind = _kind(path)
    if kind in ("glb", "gltf"):
        check_readable(path, kind)
    options: dict[str, Any] = {"skip_materials": True} if kind == "obj" else {}
    source: Path | BytesIO = path
    if kind == "obj" and _many_cornered(data := path.read_bytes()):
        source = BytesIO(without_notches(data.decode("utf-8", "replace")).encode())
    scene = trimesh.load_scene(source, file_type=kind, process=False, maintain_order=True, **options)
    parts: list[Mesh] = []
    points = 0
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        part = scene.geometry[name]
        points += len(getattr(part, "vertices", ()))
        if isinstance(part, trimesh.Trimesh) and len(part.faces):
            parts.append(_moved(part, np.asarray(transform, np.float64)))
    if not parts and points:
        raise MeshError("has points or lines and no faces: make a surface of it first, for example by Poisson's method")
    return joined(parts)


def _many_cornered(data: bytes) -> bool:
    return re.search(rb"^f(?:[ \t]+[-0-9/]+){5}", data, re.MULTILINE) is not None


def _read_ply(path: Path) -> Mesh:
    try:
        return _by_trimesh(path)
    except ValueError:  # it takes all faces for having as many corners as the first
        return read_ply_polygons(path)


def _kind(path: Path) -> str:
    """What the file's first bytes say where they say it, else its name: people rename files by mistake."""
    with path.open("rb") as file:
        head = file.read(4)
    return "glb" if head == b"glTF" else "ply" if head in (b"ply\n", b"ply\r") else path.suffix.lower()[1:]


def _moved(part: trimesh.Trimesh, transform: NDArray[np.float64]) -> Mesh:
    vertices = np.asarray(part.vertices, np.float64) @ transform[:3, :3].T + transform[:3, 3]
    faces = np.asarray(part.faces, np.int64)
    return Mesh(vertices, faces if np.linalg.det(transform[:3, :3]) >= 0 else faces[:, ::-1])


def joined(parts: list[Mesh]) -> Mesh:
    """Several meshes as one."""
    if not parts:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + start for part, start in zip(parts, starts, strict=False)]
    return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces))


_READERS: dict[str, Callable[[Path], Mesh]] = {
    ".3mf": lambda path: joined(read_3mf(path)),
    ".glb": _by_trimesh,
    ".gltf": _by_trimesh,
    ".npz": read_npz,
    ".obj": _by_trimesh,
    ".off": _by_trimesh,
    ".ply": _read_ply,
    ".stl": _by_trimesh,
    ".vox": read_vox,
}
SUFFIXES = tuple(_READERS)


def read_mesh(path: Path, up: str | None = None) -> Mesh:
    """The mesh in a file, with +y up; a file of voxels becomes the outer faces of their cubes.

    Args:
        path: A file with one of SUFFIXES.
        up: The axis that is up in the file, one of `mesh.AXES`; None for what is usual in the format.

    Raises:
        MeshError: the file cannot be read, holds no faces or more than MOST_FACES; a sentence without the file's name.
    """
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise MeshError(f"is no kind of file that can be read: use {', '.join(kind[1:] for kind in SUFFIXES)}")
    try:
        mesh = _READERS[suffix](path)
    except MeshError:
        raise
    except Exception as error:  # whatever a library raises about a file of others must not end the reading of the rest
        if isinstance(error, FileNotFoundError) and (named := error.filename or " ".join(map(str, error.args))):
            missing = Path(str(named)).name
            raise MeshError(f"needs {missing}, which is not there: put it beside the mesh") from error
        why = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise MeshError(f"cannot be read ({why}): export it again") from error
    if not len(mesh):
        raise MeshError("holds no faces: export it with its surface")
    if len(mesh) > MOST_FACES:
        raise MeshError(f"has {len(mesh):,} faces, and {MOST_FACES:,} are the most: simplify it first")
    return mesh.upright(up or ("z" if suffix in Z_UP else "y"))
