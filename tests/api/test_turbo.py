"""What preset=turbo means in a request: it stays, its controls are fixed, and a batch may mix it with others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from api.errors import InvalidRequest
from api.generation.estimates import estimate, work_left
from api.given import GivenRequest, VariedRequest, kept_request
from api.messages import Order, Progress
from api.parsing import parse
from api.schemas import GenerateRequest, JobRequest, fine_steps_of
from models.presets import PRESETS
from tests.support.requests_read import batch, read

TURBO = PRESETS["turbo"]


def test_turbo_is_four_steps_without_guidance_by_other_networks_wherever_a_request_goes() -> None:
    asked = read(preset="turbo", seed=1)
    assert (asked.network, asked.ddim_steps, fine_steps_of(asked)) == ("turbo", 4, 4)
    assert (asked.scheduler, asked.guidance_scale) == ("ddim", 1.0)
    assert read(seed=1).network == read(preset="draft").network == "standard"
    assert GenerateRequest.model_validate_json(asked.model_dump_json()) == asked
    assert kept_request(asked.model_dump_json()) == asked
    assert Order.of(asked, 1).network == "turbo"
    assert Order.model_validate_json(Order.of(asked, 1).model_dump_json()).network == "turbo"
    assert parse(JobRequest, b'{"prompt": "x", "preset": "turbo"}').network == "turbo"
    for kind, more in (
        (GivenRequest, {"given": {"coarse": "eA=="}}),
        (VariedRequest, {"variation": {"strength": 1.0}}),
    ):
        kept = kind.model_validate_json(orjson.dumps({**asked.model_dump(), **more}))
        assert kept_request(kept.model_dump_json()) == kept
        assert kept.network == "turbo"


def test_the_same_controls_with_the_own_networks_are_another_request() -> None:
    """Or a recent result, a tag or a batch of one would be taken for the other's."""
    written = read(ddim_steps=4, guidance_scale=1.0, seed=1)
    assert written != read(preset="turbo", seed=1)
    assert written.model_dump_json() != read(preset="turbo", seed=1).model_dump_json()


@pytest.mark.parametrize(
    ("field", "same", "other"),
    [("ddim_steps", 4, 8), ("fine_steps", 4, 2), ("scheduler", "ddim", "dpm++")],
)
def test_turbo_takes_no_other_controls_and_the_sentence_names_them(field: str, same: Any, other: Any) -> None:
    assert read(preset="turbo", **{field: same}).network == "turbo"
    assert read(preset="turbo", **{field: None}) == read(preset="turbo")
    told = f"should leave {field} out: preset turbo takes 4 steps of ddim in each stage, and no others"
    with pytest.raises(InvalidRequest, match=told):
        read(preset="turbo", **{field: other})
    for prompts, shared in (
        ([{"prompt": "x", "preset": "turbo", field: other}], {}),
        ([{"prompt": "x", field: other}], {"preset": "turbo"}),
        ([{"prompt": "x", "preset": "turbo"}], {field: other}),
    ):
        with pytest.raises(InvalidRequest, match=told):
            batch(prompts, **shared)


def test_guidance_changes_nothing_because_students_have_learnt_it_and_is_checked_all_the_same() -> None:
    """Many clients send a scale with every request."""
    assert read(preset="turbo", guidance_scale=7.5) == read(preset="turbo")
    assert read(preset="turbo", guidance_interval=[0.0, 0.5]).network == "turbo"
    (one,) = batch([{"prompt": "x", "guidance_scale": 3.0}], preset="turbo")
    assert one == read(preset="turbo")
    for wrong in (0.5, 21, "7", True):
        with pytest.raises(InvalidRequest, match="guidance_scale should be"):
            read(preset="turbo", guidance_scale=wrong)


def test_a_batch_mixes_turbo_with_others() -> None:
    shared, draft, standard = batch(
        ["x", {"prompt": "x", "preset": "draft"}, {"prompt": "x", "preset": "standard"}], preset="turbo"
    )
    assert shared == read(preset="turbo")
    assert draft == read(preset="draft")
    assert standard == read(fine_steps=100)
    plain, own = batch(["x", {"prompt": "x", "preset": "turbo"}], preset="draft")
    assert plain == read(preset="draft")
    assert (own.network, own.ddim_steps, own.guidance_scale, fine_steps_of(own)) == ("turbo", 4, 1.0, 4)


def test_estimates_count_a_students_steps_and_its_teachers_as_long_as_none_was_measured() -> None:
    measured = {"coarse": 1.0, "fine": 2.0}
    begun = estimate(4, 4, measured, "turbo")
    assert begun == estimate(4, 4, measured)
    assert estimate(4, 4, {**measured, "turbo_coarse": 0.5, "turbo_fine": 1.5}, "turbo") == begun - 4 * 0.5 - 4 * 0.5
    left = Progress(stage="fine", network="turbo", step=1, steps=4)
    assert work_left(left, {**measured, "turbo_fine": 1.0}, 0) - work_left(left, measured, 0) == 3 * (1.0 - 2.0)
    assert estimate(4, 4, {"turbo_coarse": 0.5}, "turbo") == 0.0, "before anything was measured"
