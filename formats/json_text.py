"""The result of a generation: arrays from the decoder to the socket, never a Python list of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from models.shape import Voxels

# orjson holds the interpreter while it writes: in pieces of this many points (about 3 ms) others get their turn.
_ROWS = 8192


@dataclass(frozen=True)
class Result:
    """What a generation made, and what is worth knowing about it."""

    coarse: Voxels
    fine: Voxels | None
    seed: int
    warnings: tuple[str, ...] = ()

    @property
    def finest(self) -> Voxels:
        """The fine stage's voxels, or the coarse stage's where there are no fine ones."""
        return self.fine or self.coarse


def write_json(result: Result, *, with_seed: bool = False) -> bytes:
    """The body of POST /generate: ``coarse_xyz``, ``coarse_normal``, ``fine_xyz``, ``fine_normal``, nothing else.

    with_seed: where there are no headers for them, ``seed`` and ``warnings`` follow.
    """
    fine = result.fine
    parts: list[bytes] = [b'{"coarse_xyz":', *_points(result.coarse.xyz)]
    parts += [b',"coarse_normal":', *_points(result.coarse.normal)]
    parts += [b',"fine_xyz":', *(_points(fine.xyz) if fine else (b"null",))]
    parts += [b',"fine_normal":', *(_points(fine.normal) if fine else (b"null",))]
    if with_seed:
        parts.append(b',"seed":%d,"warnings":' % result.seed + orjson.dumps(result.warnings))
    parts.append(b"}")
    return b"".join(parts)


def write_coarse_json(coarse: Voxels, seed: int) -> bytes:
    """A coarse shape on its own: ``coarse_xyz``, ``coarse_normal``, ``seed``."""
    parts: list[bytes] = [b'{"coarse_xyz":', *_points(coarse.xyz), b',"coarse_normal":', *_points(coarse.normal)]
    return b"".join([*parts, b',"seed":%d}' % seed])


def _points(values: NDArray[np.float32]) -> Iterator[bytes]:
    """A JSON array of float32 [N, 3], with the fewest digits that give the same float32 back."""
    contiguous = np.ascontiguousarray(values, dtype=np.float32)
    yield b"["
    for start in range(0, len(contiguous), _ROWS):
        text = orjson.dumps(contiguous[start : start + _ROWS], option=orjson.OPT_SERIALIZE_NUMPY)
        yield (b"," if start else b"") + text[1:-1]
    yield b"]"
