"""Scheduler, steps of the fine stage's own and guidance interval, on the demo pair through HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.schedulers import SCHEDULERS
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
