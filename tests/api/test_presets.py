"""Presets: one table, what a caller gives wins, and nothing behind the reading of a body knows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

import pytest

from api.http.etags import etag
from api.parsing import parse
from api.presets import described
from api.schemas import BatchItem, GenerateRequest, JobRequest
from formats import FORMATS, Options
from models.presets import PRESETS, PresetName
from models.schedulers import SCHEDULERS
from models.state import ALWAYS
from tests.support.requests_read import batch, read

DRAFT = PRESETS["draft"]
CHOSEN = {
    "scheduler": DRAFT.scheduler, "ddim_steps": DRAFT.steps, "fine_steps": DRAFT.fine_steps,
    "guidance_interval": DRAFT.guidance_interval, "guidance_scale": DRAFT.guidance_scale,
}  # fmt: skip
REPLACED = [name for name, preset in PRESETS.items() if not preset.is_fixed]


@pytest.mark.parametrize("name", REPLACED)
def test_a_preset_is_the_request_with_its_controls(name: PresetName) -> None:
    preset = PRESETS[name]
    chosen = {"scheduler": preset.scheduler, "ddim_steps": preset.steps, "fine_steps": preset.fine_steps}
    written = read(**chosen, guidance_interval=preset.guidance_interval)
    assert read(preset=name) == written
    assert read(preset=name).model_dump_json() == written.model_dump_json()
    assert preset.scheduler in SCHEDULERS


def test_every_preset_has_a_name_that_the_schema_lists_and_describes() -> None:
    assert set(PRESETS) == set(get_args(PresetName))
    for name, preset in PRESETS.items():
        assert f"{name} is {preset.scheduler} with {preset.steps} steps" in described()


def test_the_standard_is_what_a_request_without_controls_gets() -> None:
    assert read(preset="standard", seed=1) == read(seed=1) == read(preset=None, seed=1)
    assert asdict(PRESETS["standard"])["guidance_interval"] == ALWAYS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scheduler", "ddim"),
        ("ddim_steps", 100),
        ("fine_steps", 100),
        ("guidance_interval", (0.0, 0.5)),
        ("guidance_scale", 1.0),
    ],
)
def test_what_is_given_wins_over_a_preset_even_where_it_is_the_default(field: str, value: Any) -> None:
    request = read(preset="draft", **{field: value}).model_dump()
    assert {name: request[name] for name in CHOSEN} == {**CHOSEN, field: value}
    assert read(preset="draft", **{field: None}) == read(preset="draft"), "null is left out"


def test_equal_shapes_have_one_tag_however_they_were_asked_for() -> None:
    tags = {
        etag("bits", request, FORMATS[0], Options())
        for request in (read(preset="draft", seed=1), read(**CHOSEN, seed=1))
    }
    assert len(tags) == 1


def test_a_job_keeps_the_controls_and_not_the_name() -> None:
    kept = parse(JobRequest, b'{"prompt": "x", "preset": "draft"}').model_dump_json(
        include=set(GenerateRequest.model_fields)
    )
    assert "draft" not in kept
    assert GenerateRequest.model_validate_json(kept) == read(preset="draft")


@pytest.mark.parametrize("preset", ["fast", "Draft", "", 1, ["draft"], {"draft": 1}])
def test_another_preset_is_refused_by_name(preset: Any) -> None:
    with pytest.raises(Exception, match="preset should be 'draft', 'standard', 'best' or 'turbo'"):
        read(preset=preset)
    with pytest.raises(Exception, match=r"prompts\.1\.preset should be 'draft', 'standard', 'best' or 'turbo'"):
        batch(["x", {"prompt": "x", "preset": preset}])


def test_a_batch_shares_a_preset_and_an_item_may_have_its_own() -> None:
    shared, own, given, both = batch(
        ["x", {"prompt": "x", "preset": "standard"}, {"prompt": "x", "ddim_steps": 3},
         {"prompt": "x", "preset": "best", "ddim_steps": 7}],
        preset="draft", guidance_scale=3.0,
    )  # fmt: skip
    assert shared == read(preset="draft", guidance_scale=3.0)
    assert own.model_dump() == read(guidance_scale=3.0, fine_steps=100).model_dump()
    assert given == read(preset="draft", ddim_steps=3, guidance_scale=3.0)
    assert both == read(preset="best", ddim_steps=7, fine_steps=PRESETS["best"].fine_steps or 7, guidance_scale=3.0)


def test_what_is_given_for_all_prompts_wins_over_the_preset_of_one() -> None:
    first, second = batch([{"prompt": "x", "preset": "draft"}, "x"], ddim_steps=50)
    assert first == read(preset="draft", ddim_steps=50)
    assert second == read(ddim_steps=50)


def test_an_item_of_a_batch_has_every_parameter() -> None:
    assert set(BatchItem.model_fields) == set(GenerateRequest.model_fields)
