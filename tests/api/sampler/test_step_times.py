"""Slices last about as long as they should."""

from __future__ import annotations

import pytest

from api.sampler.step_times import StepTimes


def test_slices_follow_the_measured_step_time() -> None:
    times = StepTimes()
    assert times.steps_within("coarse", 512, 0.15) == 1
    times.observe("coarse", steps=4, voxels=4 * 512, seconds=0.08)
    assert times.steps_within("coarse", 512, 0.15) == 7
    assert times.steps_within("coarse", 3 * 512, 0.15) == 2
    assert times.steps_within("coarse", 100 * 512, 0.15) == 1
    assert times.steps_within("fine", 512, 0.15) == 1


def test_large_samples_take_fewer_steps_in_a_slice_than_small_ones() -> None:
    times = StepTimes()
    times.observe("fine", steps=10, voxels=10 * 1000, seconds=0.1)
    assert times.steps_within("fine", 500, 0.15) == 30
    assert times.steps_within("fine", 4000, 0.15) == 3
    assert times.seconds["fine"] == pytest.approx(0.01)


def test_the_running_mean_forgets_an_outlier() -> None:
    times = StepTimes()
    times.observe("coarse", 1, 512, 10.0)
    for _ in range(40):
        times.observe("coarse", 10, 5120, 0.2)
    assert times.seconds["coarse"] == pytest.approx(0.02, rel=0.1)
    times.observe("coarse", 0, 0, 99.0)
    assert times.seconds["coarse"] == pytest.approx(0.02, rel=0.1)
