"""The text of server-sent events, for readers of any kind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np

from api.call import Call
from api.http.streaming import LONGEST_LINE, EventStream
from api.schemas import GenerateRequest
from formats.json_text import write_json
from models.shape import Shape, Voxels

POINTS = 30_000


class Done:
    """A generator whose work is done at once."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    async def run(self, *_: Any) -> Shape:
        return self.shape


def last_event(shape: Shape) -> list[bytes]:
    """The lines of the event that ends a stream."""

    async def read() -> bytes:
        stream: Any = EventStream(Done(shape), GenerateRequest(prompt="x"), Call())  # type: ignore[arg-type]
        return b"".join([piece async for piece in stream])

    return asyncio.run(read()).removesuffix(b"\n\n").split(b"\n")


def test_a_large_shape_has_lines_that_every_reader_takes_and_its_json_is_whole() -> None:
    random = np.random.default_rng(1)
    indices = random.integers(0, 64, (POINTS, 3)).astype(np.int16)
    normals = random.normal(size=(POINTS, 3)).astype(np.float32)
    shape = Shape(Voxels(indices, normals, 1 / 64), None, 1)
    name, *lines = last_event(shape)
    assert name == b"event: completed"
    assert len(lines) > 10
    assert max(map(len, lines)) <= LONGEST_LINE == 32 * 1024
    assert all(line.startswith(b"data: ") for line in lines)
    data = [line.removeprefix(b"data: ") for line in lines]
    body = write_json(shape)
    assert json.loads(b"\n".join(data)) == json.loads(body)
    assert b"".join(data) == body, "without the breaks it is the body of POST /generate"


def test_a_small_shape_stays_on_one_line() -> None:
    shape = Shape(Voxels(np.zeros((1, 3), np.int16), np.array([[0, 0, 1]], np.float32), 1 / 64), None, 1)
    assert last_event(shape) == [b"event: completed", b"data: " + write_json(shape)]
