"""Slices last about as long as they should, and a request that cannot end in time is told how many steps could."""

from __future__ import annotations

import re

import pytest

from api.errors import TooSlow
from api.generation.estimates import StepTimes, check_deadline, estimate
from api.schemas import GenerateRequest


def test_slices_follow_the_measured_step_time() -> None:
    times = StepTimes()
    assert times.steps_within("coarse", 512, 0.15) == 1
    times.observe("coarse", steps=4, voxels=4 * 512, seconds=0.08)
    assert times.steps_within("coarse", 512, 0.15) == 7
    assert times.steps_within("coarse", 3 * 512, 0.15) == 2
    assert times.steps_within("coarse", 100 * 512, 0.15) == 1
    assert times.steps_within("fine", 512, 0.15) == 1


def test_a_slice_of_samples_of_any_size_has_a_budget_of_voxels() -> None:
    times = StepTimes()
    assert times.voxels_within("fine", 0.15) == float("inf")
    times.observe("fine", steps=10, voxels=10 * 1000, seconds=0.1)
    assert times.voxels_within("fine", 0.15) == pytest.approx(15_000)
    assert times.steps_within("fine", 500, 0.15) == 30
    assert times.seconds["fine"] == pytest.approx(0.01)


def test_the_running_mean_forgets_an_outlier() -> None:
    times = StepTimes()
    times.observe("coarse", 1, 512, 10.0)
    for _ in range(40):
        times.observe("coarse", 10, 5120, 0.2)
    assert times.seconds["coarse"] == pytest.approx(0.02, rel=0.1)
    times.observe("coarse", 0, 0, 99.0)
    assert times.seconds["coarse"] == pytest.approx(0.02, rel=0.1)


def test_a_request_that_fits_is_let_through() -> None:
    request = GenerateRequest(prompt="x", ddim_steps=100)
    check_deadline(request, {}, fine_model=True, deadline=1)
    check_deadline(request, {"coarse": 0.02, "fine": 0.05}, fine_model=True, deadline=10)


@pytest.mark.parametrize(
    ("use_fine", "fine_model", "step"), [(True, True, 0.5), (False, True, 0.2), (True, False, 0.2)]
)
def test_the_step_count_named_in_too_slow_would_fit(use_fine: bool, fine_model: bool, step: float) -> None:
    seconds = {"coarse": 0.2, "fine": 0.3}
    request = GenerateRequest(prompt="x", ddim_steps=1000, use_fine=use_fine)
    assert estimate(1000, seconds, fine=use_fine and fine_model) == pytest.approx(1000 * step + 0.5)
    with pytest.raises(TooSlow) as caught:
        check_deadline(request, seconds, fine_model=fine_model, deadline=50)
    named = re.search(r"at most (\d+) steps", str(caught.value))
    assert named is not None
    fitting = GenerateRequest(prompt="x", ddim_steps=int(named[1]), use_fine=use_fine)
    check_deadline(fitting, seconds, fine_model=fine_model, deadline=50)


def test_without_any_step_count_that_fits_another_remedy_is_named() -> None:
    with pytest.raises(TooSlow, match="use_fine"):
        check_deadline(GenerateRequest(prompt="x"), {"coarse": 60.0}, fine_model=False, deadline=10)
