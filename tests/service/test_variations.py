"""POST /variations: an earlier or a given shape becomes one that resembles it, or another in a box alone."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.service import Server

pytestmark = [pytest.mark.shared("server"), pytest.mark.timeout(600)]
EARLIER: dict[str, Any] = {"prompt": "a chair", "ddim_steps": 8, "seed": 1}
OTHER: dict[str, Any] = {"prompt": "a chair", "ddim_steps": 8, "seed": 2}
UPPER = [[-0.5, 0.0, -0.5], [0.5, 0.5, 0.5]]


@pytest.fixture(scope="module")
def made(server: Server) -> dict[str, Any]:
    """What /generate makes of EARLIER; the service has it in memory then."""
    shape: dict[str, Any] = server.generate(**EARLIER).json()
    return shape


def vary(server: Server, path: str = "/variations", **fields: Any) -> httpx.Response:
    return server.post(path, json={**OTHER, "of": {"request": EARLIER}, **fields})


def outside(made: dict[str, Any], stage: str) -> list[list[float]]:
    """Points with normals below the box."""
    rows = np.hstack([np.array(made[f"{stage}_xyz"]), np.array(made[f"{stage}_normal"])])
    below: list[list[float]] = rows[rows[:, 1] < 0].tolist()
    return below


def test_full_strength_is_the_shape_of_the_seed(server: Server, made: dict[str, Any]) -> None:
    answer = vary(server, strength=1.0)
    assert answer.status_code == 200
    assert answer.json() == server.generate(**OTHER).json()


def test_a_variation_is_another_shape_and_the_same_each_time(server: Server, made: dict[str, Any]) -> None:
    weak = vary(server, strength=0.1).json()
    assert weak["coarse_xyz"] != made["coarse_xyz"]
    again = server.post(
        "/variations",
        json={**OTHER, "of": {"request": EARLIER}, "strength": 0.1},
        headers={"Cache-Control": "no-cache"},
    )
    assert again.json() == weak


def test_voxels_outside_of_a_box_stay_to_the_last_bit(server: Server, made: dict[str, Any]) -> None:
    other = vary(server, strength=1.0, box=UPPER).json()
    for stage in ("coarse", "fine"):
        assert outside(other, stage) == outside(made, stage)
        assert other[f"{stage}_xyz"] != made[f"{stage}_xyz"]


def test_the_result_of_a_job_is_varied_by_a_job_and_at_once_alike(server: Server, made: dict[str, Any]) -> None:
    place = server.post("/jobs", json=EARLIER).headers["location"]
    wait_for(lambda: server.get(place).json()["state"] == "completed")
    of = {"job": place.rpartition("/")[2]}
    at_once = vary(server, of=of, box=UPPER, strength=0.6).json()
    assert at_once == vary(server, box=UPPER, strength=0.6).json()
    later = vary(server, "/jobs", of=of, box=UPPER, strength=0.6).headers["location"]
    wait_for(lambda: server.get(later).json()["state"] == "completed")
    assert server.get(f"{later}/result").json() == at_once


def test_events_tell_the_steps_that_are_taken(server: Server, made: dict[str, Any]) -> None:
    body = {**OTHER, "of": {"request": EARLIER}, "strength": 0.25, "use_fine": False}
    text = server.post("/variations", json=body, headers={"Accept": "text/event-stream"}).text
    told = [block.partition("data: ")[2] for block in text.split("\n\n") if "event: progress" in block]
    steps = [(event["step"], event["steps"]) for event in map(json.loads, told)]
    assert steps[0] == (6, 8)
    assert steps[-1] == (8, 8)


def test_a_variation_may_be_a_file_and_be_varied_again(server: Server, made: dict[str, Any]) -> None:
    file = server.post("/variations?format=ply", json={**OTHER, "of": {"request": EARLIER}, "strength": 0.5})
    assert file.content.startswith(b"ply")
    place = vary(server, "/jobs", strength=0.5).headers["location"]
    wait_for(lambda: server.get(place).json()["state"] == "completed")
    assert vary(server, of={"job": place.rpartition("/")[2]}, strength=0.5).status_code == 200


def given(server: Server, shape: dict[str, Any], path: str = "/variations", **fields: Any) -> httpx.Response:
    """A variation of a shape that is sent along; its latent takes a while to find."""
    return server.post(path, json={**OTHER, "shape": shape, **fields})


def points(made: dict[str, Any]) -> dict[str, Any]:
    return {"xyz": made["coarse_xyz"], "normal": made["coarse_normal"]}


def test_a_given_shape_that_the_models_do_not_hold_is_varied_with_a_warning(
    server: Server, made: dict[str, Any]
) -> None:
    """These models are random, so no latent is decoded to a shape that somebody sends."""
    answer = given(server, points(made), strength=0.5)
    assert answer.status_code == 200
    assert answer.json() == given(server, points(made), strength=0.5).json()
    assert "the models hold the given shape only roughly" in answer.headers["x-xcube-warning"]
    assert "fit;dur=" in answer.headers["server-timing"]


def test_of_a_given_shape_voxels_outside_of_a_box_stay_to_the_last_bit(server: Server, made: dict[str, Any]) -> None:
    at_once = given(server, points(made), strength=1.0, box=UPPER).json()
    assert outside(at_once, "coarse") == outside(made, "coarse")
    assert at_once["coarse_xyz"] != made["coarse_xyz"]
    assert at_once["fine_xyz"]
    place = given(server, points(made), "/jobs", strength=1.0, box=UPPER).headers["location"]
    wait_for(lambda: server.get(place).json()["state"] == "completed", 240)
    assert server.get(f"{place}/result").json() == at_once


def test_variants_and_files_of_a_given_shape_are_those_of_their_seeds(server: Server, made: dict[str, Any]) -> None:
    both = given(server, points(made), strength=0.5, n=2).json()["results"]
    second = {name: value for name, value in both[1].items() if name in made}
    assert second == given(server, points(made), strength=0.5, seed=3).json()
    npz = server.post("/variations?format=npz", json={**OTHER, "shape": points(made), "strength": 0.5}).content
    file = {"file": base64.b64encode(npz).decode(), "format": "npz"}
    body = {**OTHER, "shape": file, "strength": 0.1}
    answer = server.post("/variations", json=body, headers={"Accept": "text/event-stream"})
    assert answer.text.count("event: completed") == 1
    tag = given(server, points(made), strength=0.5).headers["etag"]
    again = server.post(
        "/variations", json={**OTHER, "shape": points(made), "strength": 0.5}, headers={"If-None-Match": tag}
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"of": {}}, "of should have either job or request"),
        ({"of": None}, "should have either of or shape"),
        ({"shape": {"xyz": [[0, 0, 0]]}}, "should have either of or shape"),
        ({"of": None, "shape": {"xyz": []}}, "shape.xyz should have at least 1 item"),
        ({"of": None, "shape": {"xyz": [[0, 0, 0.7]]}}, "The shape has points outside of [-0.5, 0.5]"),
        ({"of": None, "shape": {"file": "AAAA", "format": "vox"}}, "The shape is no VOX file"),
        ({"of": {"request": {"prompt": "a chair"}}}, "of should have a request with a seed"),
        ({"strength": 0}, "strength should be greater than 0"),
        ({"strength": 1.5}, "strength should be less than or equal to 1"),
        ({"box": [[0, 0, 0]]}, "box should have at least 2 items"),
        ({"box": [[0, 0, 0], [1, 1, -0.5]]}, "box should be the low corner, then the high one"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(server: Server, fields: dict[str, Any], told: str) -> None:
    answer = vary(server, **fields)
    assert_error(answer, 400, "invalid_request")
    assert told in answer.json()["error"]


def test_a_shape_that_was_refined_is_varied_as_a_given_one(server: Server, made: dict[str, Any]) -> None:
    place = server.post("/jobs", json={**EARLIER, "shape": points(made)}).headers["location"]
    wait_for(lambda: server.get(place).json()["state"] == "completed")
    refined = vary(server, of={"job": place.rpartition("/")[2]}, strength=1.0, box=UPPER).json()
    assert refined == {**given(server, points(made), strength=1.0, box=UPPER).json(), **_fine(refined)}
    assert outside(refined, "fine") == outside(server.get(f"{place}/result").json(), "fine")


def _fine(shape: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shape.items() if name.startswith("fine")}


def test_a_shape_that_is_not_there_is_told(server: Server, made: dict[str, Any]) -> None:
    assert_error(vary(server, of={"request": {**EARLIER, "seed": 999}}), 404, "not_found")
    assert_error(vary(server, of={"job": "nobody"}), 404, "not_found")
    assert_error(server.post("/jobs", json={**EARLIER, "strength": 0.5}), 400, "invalid_request")
