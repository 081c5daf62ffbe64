"""How long a shape takes to become the body of an answer, in every format that needs no surface."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import orjson

from cli.bench.subjects import shell
from formats import FORMATS, Format, file_of
from models.shape import Shape

SIDES = {"official": (128, 512), "demo": (32, 128), "tiny": (8, 32)}
"""Voxels along a side of the coarse and of the fine grid."""
THICKNESS = 1.37
"""Of the fine shell, in voxels: at 512^3 it has a million."""


@dataclass(frozen=True)
class Answer:
    """The median time of writing one format, and of one bare `orjson.dumps` of the float32 arrays beside it.

    Attributes:
        format: Its name.
        voxels: Coarse and fine ones together.
        megabytes: Size of the body.
        seconds: Of writing.
        bare: Seconds of the bare JSON, measured in alternation.
    """

    format: str
    voxels: int
    megabytes: float
    seconds: float
    bare: float


def measure(size: str, repetitions: int) -> Iterator[Answer]:
    """Measures one format after the other, in this thread."""
    coarse, fine = SIDES[size]
    shape = Shape(shell(coarse), shell(fine, THICKNESS), seed=1)
    assert shape.fine is not None
    arrays = {
        "coarse_xyz": shape.coarse.xyz, "coarse_normal": shape.coarse.normal,
        "fine_xyz": shape.fine.xyz, "fine_normal": shape.fine.normal,
    }  # fmt: skip
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    plain = partial(orjson.dumps, arrays, option=orjson.OPT_SERIALIZE_NUMPY)
    for format_ in FORMATS:
        if format_.kind == "surface":
            continue
        times, bare = [], []
        for _ in range(repetitions):
            bare.append(_timed(plain)[0])
            seconds, body = _timed(partial(_body, format_, shape))
            times.append(seconds)
        voxels = len(shape.coarse) + len(shape.fine)
        yield Answer(format_.name, voxels, len(body) / 1e6, statistics.median(times), statistics.median(bare))


def _body(format_: Format, shape: Shape) -> bytes:
    return file_of(format_, shape, "bench").content


def _timed(work: Callable[[], bytes]) -> tuple[float, bytes]:
    start = time.perf_counter()
    body = work()
    return time.perf_counter() - start, body
