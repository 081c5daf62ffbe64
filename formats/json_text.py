"""A shape as JSON text: from arrays straight to bytes, never a Python list of numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import orjson
from numpy.typing import NDArray

from models.kinds import nearest_in
from models.shape import Shape, Voxels

# orjson holds the interpreter while it writes: in pieces of this many points (about 3 ms) others get their turn.
_ROWS = 8192


def write_json(shape: Shape, *, with_seed: bool = False) -> bytes:
    """The body of POST /generate: ``coarse_xyz``, ``coarse_normal``, ``fine_xyz``, ``fine_normal``, nothing else.

    Args:
        shape: What is written.
        with_seed: Whether ``seed``, ``seed_text``, ``warnings`` and ``nearest_kinds`` follow,
            where there are no headers for them.
    """
    fine = shape.fine
    parts: list[bytes] = [b'{"coarse_xyz":', *_points(shape.coarse.xyz)]
    parts += [b',"coarse_normal":', *_points(shape.coarse.normal)]
    parts += [b',"fine_xyz":', *(_points(fine.xyz) if fine else (b"null",))]
    parts += [b',"fine_normal":', *(_points(fine.normal) if fine else (b"null",))]
    parts.append(_end_with_seed(shape) if with_seed else b"}")
    return b"".join(parts)


def with_seed_of(shape: Shape, body: bytes) -> bytes:
    """The body of POST /generate for a shape, as `write_json` writes it with the seed."""
    return body[:-1] + _end_with_seed(shape)


def write_coarse_json(coarse: Voxels, seed: int) -> bytes:
    """A coarse shape on its own: ``coarse_xyz``, ``coarse_normal``, ``seed``, ``seed_text``."""
    parts: list[bytes] = [b'{"coarse_xyz":', *_points(coarse.xyz), b',"coarse_normal":', *_points(coarse.normal)]
    return b"".join([*parts, _seed(seed), b"}"])


def _end_with_seed(shape: Shape) -> bytes:
    told = {"warnings": shape.warnings, "nearest_kinds": nearest_in(shape.warnings)}
    return _seed(shape.seed) + b"," + orjson.dumps(told)[1:]


def _seed(seed: int) -> bytes:
    """A seed as a number, and as text for readers whose numbers have less than 64 bits, such as JavaScript's."""
    return b',"seed":%d,"seed_text":"%d"' % (seed, seed)


def _points(values: NDArray[np.float32]) -> Iterator[bytes]:
    """A JSON array of float32 [N, 3], with the fewest digits that give the same float32 back."""
    contiguous = np.ascontiguousarray(values, dtype=np.float32)
    yield b"["
    for start in range(0, len(contiguous), _ROWS):
        text = orjson.dumps(contiguous[start : start + _ROWS], option=orjson.OPT_SERIALIZE_NUMPY)
        yield (b"," if start else b"") + text[1:-1]
    yield b"]"
