"""The JSON of a result: four fields, points as float32 wrote them, null where there is no fine shape."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import orjson
import pytest

from formats.json_text import write_json
from models.shape import Shape, Voxels


def shape(count: int, voxel_size: float = 1 / 32) -> Voxels:
    generator = np.random.default_rng(count)
    ijk = generator.integers(-64, 64, (count, 3)).astype(np.int16)
    normal = generator.normal(size=(count, 3)).astype(np.float32)
    return Voxels(ijk, (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32), voxel_size)


@pytest.mark.parametrize("count", [1, 2, 8191, 8192, 8193, 20_000])
def test_every_float32_comes_back_bit_for_bit(count: int) -> None:
    coarse, fine = shape(count), shape(count + 1, 1 / 128)
    body = json.loads(write_json(Shape(coarse, fine, seed=1)))
    assert list(body) == ["coarse_xyz", "coarse_normal", "fine_xyz", "fine_normal"]
    for name, values in (("coarse_xyz", coarse.xyz), ("fine_xyz", fine.xyz), ("fine_normal", fine.normal)):
        np.testing.assert_array_equal(np.array(body[name], dtype=np.float32), values)


def test_without_a_fine_shape_its_fields_are_null() -> None:
    body = json.loads(write_json(Shape(shape(3), None, seed=1)))
    assert body["fine_xyz"] is None
    assert body["fine_normal"] is None


def test_writing_is_much_faster_than_through_lists() -> None:
    result = Shape(shape(30_000), None, seed=1)
    arrays = {"coarse_xyz": result.coarse.xyz, "coarse_normal": result.coarse.normal}
    direct = cpu_seconds(lambda: write_json(result))
    assert 3 * direct < cpu_seconds(lambda: json.dumps({name: array.tolist() for name, array in arrays.items()}))


def test_writing_takes_little_more_than_writing_the_bare_arrays_at_once() -> None:
    result = Shape(shape(100_000), None, seed=1)
    arrays = {"coarse_xyz": result.coarse.xyz, "coarse_normal": result.coarse.normal}
    bare = cpu_seconds(lambda: orjson.dumps(arrays, option=orjson.OPT_SERIALIZE_NUMPY))
    assert cpu_seconds(lambda: write_json(result)) < 1.5 * bare


def cpu_seconds(work: Callable[[], object]) -> float:
    """Seconds of this thread alone, so that others on the machine do not count; the best of some."""
    seconds = []
    for _ in range(3):
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return min(seconds)
