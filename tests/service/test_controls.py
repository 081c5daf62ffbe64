"""Scheduler, steps of the fine stage's own and guidance interval, on the demo pair through HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.presets import PRESETS
from models.schedulers import SCHEDULERS
from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")
ANOTHER = {"scheduler": "dpm++", "fine_steps": 2, "guidance_interval": [0.25, 0.75]}


def shape(server: Server, **fields: Any) -> dict[str, Any]:
    answer = server.generate(ddim_steps=4, **fields)
    assert answer.status_code == 200
    made: dict[str, Any] = answer.json()
    return made


def test_what_is_left_out_is_what_was_there_before(server: Server) -> None:
    defaults = {"scheduler": "ddim", "fine_steps": 4, "guidance_interval": [0, 1]}
    assert shape(server, **defaults) == shape(server) == shape(server, **dict.fromkeys(defaults))


def test_each_control_changes_the_stage_that_it_is_for(server: Server) -> None:
    plain = shape(server)
    assert shape(server, scheduler="dpm++")["coarse_xyz"] != plain["coarse_xyz"]
    fewer = shape(server, fine_steps=2)
    assert fewer["coarse_xyz"] == plain["coarse_xyz"]
    assert fewer["fine_xyz"] != plain["fine_xyz"]
    assert shape(server, guidance_interval=[0.5, 1])["coarse_xyz"] != plain["coarse_xyz"]


def test_an_interval_without_a_step_is_no_guidance(server: Server) -> None:
    assert shape(server, guidance_interval=[1, 1]) == shape(server, guidance_scale=1.0)


def test_a_stream_tells_the_steps_of_each_stage(server: Server) -> None:
    body = {"prompt": "a chair", "seed": 1, "ddim_steps": 4, "fine_steps": 2}
    text = server.post("/generate", json=body, headers={"Accept": "text/event-stream"}).text
    told = [block.partition("data: ")[2] for block in text.split("\n\n") if "event: progress" in block]
    steps = {(event["stage"], event["steps"]) for event in map(json.loads, told)}
    assert steps == {("coarse", 4), ("fine", 2)}


def test_a_batch_and_a_job_take_the_same_controls(server: Server) -> None:
    expected = shape(server, **ANOTHER)
    items = [{"prompt": "a chair", "seed": 1, "ddim_steps": 4, **ANOTHER}]
    (result,) = server.post("/batch_generate", json={"prompts": items, "ddim_steps": 9}).json()["results"]
    assert {name: result[name] for name in expected} == expected
    place = server.post("/jobs", json=items[0]).headers["location"]
    wait_for(lambda: server.get(place).json()["state"] == "completed")
    assert server.get(f"{place}/result").json() == expected


def test_every_scheduler_can_be_asked_for(server: Server) -> None:
    schemas = server.get("/openapi.json").json()["components"]["schemas"]
    field = schemas["GenerateRequest"]["properties"]["scheduler"]
    assert set(next(one["enum"] for one in field["anyOf"] if "enum" in one)) == set(SCHEDULERS)


def test_a_preset_is_its_controls_and_what_is_given_wins(server: Server) -> None:
    draft = PRESETS["draft"]
    controls = {"scheduler": draft.scheduler, "fine_steps": draft.fine_steps}
    assert shape(server, preset="draft") == shape(server, **controls)  # both with ddim_steps of their own
    body = {"prompt": "a chair", "seed": 1, "preset": "draft"}
    written = {**controls, "prompt": "a chair", "seed": 1, "ddim_steps": draft.steps}
    made, asked = server.post("/generate", json=body), server.post("/generate", json=written)
    assert made.headers["etag"] == asked.headers["etag"]
    assert made.content == asked.content
    (result,) = server.post("/batch_generate", json={"prompts": ["a chair"], "preset": "draft", "seed": 1}).json()[
        "results"
    ]
    assert result["coarse_xyz"] == made.json()["coarse_xyz"]
    place = server.post("/jobs", json=body).headers["location"]
    wait_for(lambda: server.get(place).json()["state"] == "completed")
    assert server.get(f"{place}/result").content == made.content


def test_an_unknown_preset_is_refused_in_one_sentence(server: Server) -> None:
    answer = server.post("/generate", json={"prompt": "a chair", "preset": "fast"})
    assert "preset should be 'draft', 'standard', 'best' or 'turbo'" in assert_error(answer, 400, "invalid_request")
