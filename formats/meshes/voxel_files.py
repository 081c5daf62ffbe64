"""Voxels of others as the outer faces of their cubes: MagicaVoxel's VOX, and NPZ of voxels or of a mesh."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from formats.meshes.mesh import Mesh
from models.errors import MeshError

Ints = NDArray[np.int64]
_DEEPEST = 64
_WIDEST = 1 << 20
"""The largest difference of two voxels' indices along an axis."""


def read_npz(path: Path) -> Mesh:
    """A mesh from arrays `vertices` and `faces`, or voxels from `ijk` or `coords` [N, 3]."""
    with np.load(path, allow_pickle=False) as arrays:
        if "vertices" in arrays and "faces" in arrays:
            return Mesh(
                np.asarray(arrays["vertices"], np.float64).reshape(-1, 3),
                np.asarray(arrays["faces"], np.int64).reshape(-1, 3),
            )
        for name in ("fine_ijk", "ijk", "coords", "coarse_ijk"):
            if name in arrays:
                return cubes(np.asarray(arrays[name], np.int64).reshape(-1, 3))
        raise MeshError(
            f"holds {', '.join(sorted(arrays)) or 'nothing'}: put vertices and faces, or voxels as ijk, into it"
        )


def cubes(ijk: Ints) -> Mesh:
    """The outer faces of voxels [N, 3], two triangles each, turned outwards."""
    if not len(ijk):
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    low = ijk.min(0) - 1
    side = ijk.max(0) - low + 2
    if side.max() > _WIDEST:
        raise MeshError(f"has voxels more than {_WIDEST:,} apart: leave out the ones far away")
    keys = np.unique(((ijk - low) * (side[1] * side[2], side[2], 1)).sum(1))
    at = np.stack((keys // (side[1] * side[2]), keys // side[2] % side[1], keys % side[2]), 1) + low
    quads = []
    for axis in range(3):
        step = np.array((side[1] * side[2], side[2], 1))[axis]
        u, v = np.eye(3, dtype=np.int64)[(axis + 1) % 3], np.eye(3, dtype=np.int64)[(axis + 2) % 3]
        for outwards in (0, 1):
            free = at[~np.isin(keys + (step if outwards else -step), keys, assume_unique=True)]
            base = free + np.eye(3, dtype=np.int64)[axis] * outwards
            corners = np.stack((base, base + u, base + u + v, base + v), 1)
            quads.append(corners if outwards else corners[:, ::-1])
    corners = np.concatenate(quads)
    rows = np.arange(len(corners))[:, None] * 4
    faces = np.concatenate((rows + np.array((0, 1, 2)), rows + np.array((0, 2, 3))))
    return Mesh(corners.reshape(-1, 3).astype(np.float64), faces)


@dataclass
class _Scene:
    """Chunks of a VOX file: models as voxels [N, 3] with their sizes, and the nodes that place them."""

    sizes: list[Ints] = field(default_factory=list)
    models: list[Ints] = field(default_factory=list)
    transforms: dict[int, tuple[int, Ints, Ints]] = field(default_factory=dict)
    groups: dict[int, list[int]] = field(default_factory=dict)
    shapes: dict[int, list[int]] = field(default_factory=dict)


def read_vox(path: Path) -> Mesh:
    """All voxels of a VOX file, placed by its scene graph."""
    return cubes(vox_voxels(path))


def vox_voxels(path: Path) -> Ints:
    """Positions [N, 3] of all voxels of a VOX file, placed by its scene graph; z is up.

    Raises:
        MeshError: it is no VOX file, or its scene goes round in a circle.
    """
    data = path.read_bytes()
    if data[:4] != b"VOX ":
        raise MeshError("is no VOX file of MagicaVoxel: export it again")
    scene = _Scene()
    position = 20  # behind the header and that of MAIN
    while position + 12 <= len(data):
        name, size, _ = struct.unpack_from("<4sii", data, position)
        _take(scene, name, data[position + 12 : position + 12 + size])
        position += 12 + size
    parts = _walk(scene, 0, np.eye(3, dtype=np.int64), np.zeros(3, np.int64), 0) if scene.transforms else scene.models
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)


def _take(scene: _Scene, name: bytes, body: bytes) -> None:
    reader = _Fields(body)
    if name == b"SIZE":
        scene.sizes.append(np.array(struct.unpack_from("<3i", body), np.int64))
    elif name == b"XYZI":
        count = reader.number()
        scene.models.append(np.frombuffer(body, np.uint8, 4 * count, 4).reshape(-1, 4)[:, :3].astype(np.int64))
    elif name == b"nTRN":
        node, _, child = reader.number(), reader.table(), reader.number()
        reader.number(), reader.number()
        frame = reader.table() if reader.number() else {}
        moved = np.array([int(part) for part in frame.get("_t", "0 0 0").split()], np.int64)
        scene.transforms[node] = (child, _turn(int(frame.get("_r", "4"))), moved)
    elif name == b"nGRP":
        node, _ = reader.number(), reader.table()
        scene.groups[node] = [reader.number() for _ in range(reader.number())]
    elif name == b"nSHP":
        node, _ = reader.number(), reader.table()
        scene.shapes[node] = []
        for _ in range(reader.number()):
            scene.shapes[node].append(reader.number())
            reader.table()


def _walk(scene: _Scene, node: int, turn: Ints, moved: Ints, depth: int) -> list[Ints]:
    if depth > _DEEPEST:
        raise MeshError("has a scene that goes round in a circle: export it again")
    if node in scene.transforms:
        child, own, by = scene.transforms[node]
        return _walk(scene, child, turn @ own, turn @ by + moved, depth + 1)
    if node in scene.groups:
        return [part for child in scene.groups[node] for part in _walk(scene, child, turn, moved, depth + 1)]
    # A model is placed by its middle, rounded down; doubled, so that the middle of a voxel is a whole number.
    return [
        ((2 * (scene.models[model] - scene.sizes[model] // 2) + 1) @ turn.T - 1) // 2 + moved
        for model in scene.shapes.get(node, [])
    ]


def _turn(packed: int) -> Ints:
    """A rotation from one byte: in which column the first two rows have their only entry, and the three signs."""
    first, second = packed & 3, packed >> 2 & 3
    matrix = np.zeros((3, 3), np.int64)
    for row, (column, bit) in enumerate(zip((first, second, 3 - first - second), (4, 5, 6), strict=True)):
        matrix[row, column] = -1 if packed >> bit & 1 else 1
    return matrix


class _Fields:
    """Whole numbers, texts and tables of texts in the body of a chunk, one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def number(self) -> int:
        (value,) = struct.unpack_from("<i", self._body, self._at)
        self._at += 4
        return int(value)

    def _text(self) -> str:
        length = self.number()
        text = self._body[self._at : self._at + length].decode("utf-8", "replace")
        self._at += length
        return text

    def table(self) -> dict[str, str]:
        return {self._text(): self._text() for _ in range(self.number())}
