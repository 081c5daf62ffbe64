"""A request that cannot end in time is told how many steps could."""

from __future__ import annotations

import re

import pytest

from api.errors import TooSlow
from api.generation.estimates import check_deadline, estimate
from api.given import Variation, VariedRequest
from api.schemas import GenerateRequest, steps_of
from models.strength import FIT_STEPS


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
    fine_steps = 1000 if use_fine and fine_model else 0
    assert estimate(1000, fine_steps, seconds) == pytest.approx(1000 * step + 0.5)
    with pytest.raises(TooSlow) as caught:
        check_deadline(request, seconds, fine_model=fine_model, deadline=50)
    named = re.search(r"at most (\d+) steps", str(caught.value))
    assert named is not None
    fitting = GenerateRequest(prompt="x", ddim_steps=int(named[1]), use_fine=use_fine)
    check_deadline(fitting, seconds, fine_model=fine_model, deadline=50)


def test_a_fine_step_that_was_never_measured_counts_as_much_as_a_coarse_one() -> None:
    assert estimate(100, 50, {"coarse": 0.2}) == pytest.approx(30.5)
    with pytest.raises(TooSlow, match=r"about 3[01] s"):
        check_deadline(
            GenerateRequest(prompt="x", ddim_steps=100, fine_steps=50), {"coarse": 0.2}, fine_model=True, deadline=25
        )


def test_steps_of_the_fine_stage_s_own_are_named_and_would_fit() -> None:
    seconds = {"coarse": 0.2, "fine": 0.3}
    request = GenerateRequest(prompt="x", ddim_steps=1000, fine_steps=500)
    assert estimate(1000, 500, seconds) == pytest.approx(350.5)
    with pytest.raises(TooSlow, match="1000 steps and 500 fine ones would take about 350 s") as caught:
        check_deadline(request, seconds, fine_model=True, deadline=50)
    named = re.search(r"at most (\d+) steps and (\d+) fine ones", str(caught.value))
    assert named is not None
    fitting = GenerateRequest(prompt="x", ddim_steps=int(named[1]), fine_steps=int(named[2]))
    check_deadline(fitting, seconds, fine_model=True, deadline=50)
    check_deadline(GenerateRequest(prompt="x", ddim_steps=200, fine_steps=1000), seconds, fine_model=False, deadline=50)


def test_without_any_step_count_that_fits_another_remedy_is_named() -> None:
    with pytest.raises(TooSlow, match="use_fine"):
        check_deadline(GenerateRequest(prompt="x"), {"coarse": 60.0}, fine_model=False, deadline=10)


def test_the_search_for_a_latent_counts_where_there_is_none() -> None:
    seconds = {"coarse": 0.1, "fit": 1.0}

    def asked(latent: bytes) -> VariedRequest:
        variation = Variation(latent=latent, coarse=b"voxels", strength=0.5)
        return VariedRequest(prompt="x", ddim_steps=100, use_fine=False, variation=variation)

    assert steps_of(asked(b"there")) == 50
    assert steps_of(asked(b"")) == 50 + FIT_STEPS
    check_deadline(asked(b"there"), seconds, fine_model=True, deadline=6)
    check_deadline(asked(b""), seconds, fine_model=True, deadline=6 + FIT_STEPS)
    with pytest.raises(TooSlow, match=f"about {FIT_STEPS + 5.5:.0f} s"):
        check_deadline(asked(b""), seconds, fine_model=True, deadline=5 + FIT_STEPS)
