"""What events hold of a shape where a client asked for `shape=packed`: few bytes, and nothing that was sent before."""

from __future__ import annotations

import base64

import orjson

from formats.packed import pack
from models.kinds import nearest_in
from models.shape import Shape, Voxels

PIECE = 24_000


def packed_coarse(voxels: Voxels, seed: int) -> bytes:
    """The data of `coarse` and `preview`."""
    return orjson.dumps({"coarse": _text(voxels), "seed_text": str(seed)})


def packed_end(shape: Shape) -> bytes:
    """The data of `completed`, or of `variant`; `coarse` has told the coarse shape."""
    return orjson.dumps(
        {
            "fine": None if shape.fine is None else _text(shape.fine),
            "seed_text": str(shape.seed),
            "warnings": shape.warnings,
            "nearest_kinds": nearest_in(shape.warnings),
        }
    )


def size_of(data: bytes) -> bytes:
    """The data of `sending`, which tells how long the next one is."""
    return orjson.dumps({"bytes": len(data)})


def _text(voxels: Voxels) -> list[str]:
    """Base64 in pieces, between which the lines of an event can end."""
    text = base64.b64encode(pack(voxels)).decode()
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
