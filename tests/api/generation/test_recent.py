from __future__ import annotations

import numpy as np

from api.generation.recent import RecentResults
from api.schemas import GenerateRequest
from models.shape import Shape, Voxels

BITS = "cpu, float32; abc"
VOXEL_BYTES = 3 * 2 + 3 * 4


def result(count: int, seed: int, *, fine: bool = False) -> Shape:
    voxels = Voxels(np.zeros((count, 3), np.int16), np.zeros((count, 3), np.float32), 1 / 32)
    return Shape(voxels, voxels if fine else None, seed)


def test_a_result_is_found_by_the_request_with_the_seed_that_was_drawn() -> None:
    recent = RecentResults(1000)
    asked, made = GenerateRequest(prompt="a mug"), result(2, seed=2**64 - 1)
    recent.put(BITS, asked, made)
    assert recent.get(BITS, GenerateRequest(prompt="a mug", seed=2**64 - 1)) is made
    assert recent.get(BITS, asked) is None, "a random seed means a new shape"


def test_any_other_request_is_another_one() -> None:
    recent = RecentResults(1000)
    recent.put(BITS, GenerateRequest(prompt="a mug"), result(2, seed=1))
    for other in (
        GenerateRequest(prompt="a cup", seed=1),
        GenerateRequest(prompt="a mug", seed=2),
        GenerateRequest(prompt="a mug", seed=1, ddim_steps=99),
        GenerateRequest(prompt="a mug", seed=1, guidance_scale=7.0),
        GenerateRequest(prompt="a mug", seed=1, use_fine=False),
    ):
        assert recent.get(BITS, other) is None
    assert recent.get("cpu, float32; other weights", GenerateRequest(prompt="a mug", seed=1)) is None


def test_the_least_recently_wanted_makes_room_and_no_more_is_kept_than_fits() -> None:
    recent = RecentResults(3 * 10 * VOXEL_BYTES)
    wanted = [GenerateRequest(prompt="a mug", seed=seed) for seed in range(4)]
    for request in wanted[:3]:
        recent.put(BITS, request, result(10, seed=request.seed or 0))
    assert recent.get(BITS, wanted[0]) is not None
    recent.put(BITS, wanted[3], result(5, seed=3, fine=True))
    assert [recent.get(BITS, request) is not None for request in wanted] == [True, False, True, True]
    recent.put(BITS, wanted[3], result(5, seed=3, fine=True))
    assert [recent.get(BITS, request) is not None for request in wanted] == [True, False, True, True], "counted twice"
    recent.put(BITS, GenerateRequest(prompt="a city"), result(100, seed=9))
    assert recent.get(BITS, GenerateRequest(prompt="a city", seed=9)) is None
    assert recent.get(BITS, wanted[3]) is not None, "a result that never fits pushed the others out"
