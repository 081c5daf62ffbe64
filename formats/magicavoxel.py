"""MagicaVoxel's VOX files: RIFF-like chunks of models of at most 256 voxels a side, placed by a scene graph.

MagicaVoxel's z is up and its y goes away from the eye.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from formats.about import About
from formats.blocks import Blocks

_SIDE = 256
_VERSION = 150
_LONGEST_NAME = 64


def vox(blocks: Blocks, about: About) -> bytes:
    """A VOX file of blocks; the prompt is the name of their node, and the other facts its attributes.

    What is larger than 256 along an axis is made of several models.
    """
    models, nodes = b"", b""
    places = []
    for index, (low, position, colour) in enumerate(_parts(np.ascontiguousarray(blocks.position.T), blocks.block)):
        size = position.max(axis=1) + 1
        rows = np.empty((position.shape[1], 4), np.uint8)
        rows[:, :3] = position.T
        rows[:, 3] = colour + 1  # 0 means that nothing is there
        models += _chunk(b"SIZE", struct.pack("<3i", *size))
        models += _chunk(b"XYZI", struct.pack("<i", len(rows)) + rows.tobytes())
        # A model is placed by its middle, rounded down.
        place, shape = 2 + 2 * index, 3 + 2 * index
        nodes += _transform(place, shape, {"_t": " ".join(map(str, low + size // 2))}, f"part {index + 1}")
        nodes += _chunk(b"nSHP", struct.pack("<i", shape) + _dict({}) + struct.pack("<ii", 1, index) + _dict({}))
        places.append(place)
    told = {name: _one_line(text) for name, text in about.facts().items() if name != "prompt"}
    group = struct.pack("<i", 1) + _dict({}) + struct.pack(f"<{len(places) + 1}i", len(places), *places)
    scene = _transform(0, 1, {}, _one_line(about.title()), told) + _chunk(b"nGRP", group) + nodes
    colours = b"".join(bytes((*block.colour, 255)) for block in blocks.palette)
    palette = _chunk(b"RGBA", colours.ljust(4 * 256, b"\0"))
    return b"VOX " + struct.pack("<i", _VERSION) + _chunk(b"MAIN", b"", models + scene + palette)


def _parts(
    position: NDArray[np.int32], block: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]]:
    """Positions [3, N] in parts of at most 256 a side: a part's lowest corner, positions relative to it, blocks."""
    x, y, z = (position - position.min(axis=1, keepdims=True)) // _SIDE
    key = (z * (y.max() + 1) + y) * (x.max() + 1) + x
    for one in np.unique(key):
        chosen = np.flatnonzero(key == one)
        inside = position.take(chosen, axis=1)
        low = inside.min(axis=1)
        yield low, inside - low[:, None], block[chosen]


def _transform(
    node: int, child: int, frame: dict[str, str], name: str, others: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """A node that moves its child; reserved id and layer are -1, and it has one frame."""
    attributes = _dict({"_name": name, **others})
    return _chunk(b"nTRN", struct.pack("<i", node) + attributes + struct.pack("<4i", child, -1, -1, 1) + _dict(frame))


def _dict(values: dict[str, str]) -> bytes:
    return struct.pack("<i", len(values)) + b"".join(_string(name) + _string(text) for name, text in values.items())


def _string(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<i", len(content)) + content


def _one_line(text: str) -> str:
    """A name that fits a list of names."""
    return " ".join(text.split())[:_LONGEST_NAME]


def _chunk(kind: bytes, content: bytes, children: bytes = b"") -> bytes:
    return struct.pack("<4sii", kind, len(content), len(children)) + content + children
