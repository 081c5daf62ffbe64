"""POST /refine: a coarse shape and a prompt become a fine shape, in every way of asking."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import bentoml
import httpx
import numpy as np
import pytest
import trimesh
from bentoml.exceptions import BentoMLException

from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")
STEPS: dict[str, Any] = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}


@pytest.fixture(scope="module")
def made(server: Server) -> dict[str, Any]:
    """What /generate makes."""
    shape: dict[str, Any] = server.generate().json()
    return shape


def refine(server: Server, shape: dict[str, Any], path: str = "/refine", **fields: Any) -> httpx.Response:
    return server.post(path, json={**STEPS, "shape": shape, **fields})


def points(made: dict[str, Any]) -> dict[str, Any]:
    return {"xyz": made["coarse_xyz"], "normal": made["coarse_normal"]}


def file(content: bytes, kind: str, **fields: Any) -> dict[str, Any]:
    return {"file": base64.b64encode(content).decode(), "format": kind, **fields}


def test_the_coarse_shape_of_an_answer_and_its_seed_give_that_answer_again(
    server: Server, made: dict[str, Any]
) -> None:
    answer = refine(server, points(made))
    assert answer.status_code == 200
    assert answer.headers["x-seed"] == "1"
    assert answer.json() == made


def test_a_job_takes_a_shape_and_a_shape_may_be_that_of_a_job(server: Server, made: dict[str, Any]) -> None:
    place = refine(server, points(made), "/jobs").headers["location"]
    wait_for(lambda: server.get(place).json()["state"] == "completed")
    assert server.get(f"{place}/result").json() == made
    assert refine(server, {"job": place.rpartition("/")[2]}).json() == made


def test_another_seed_gives_another_fine_shape_of_the_same_coarse_one(server: Server, made: dict[str, Any]) -> None:
    other = refine(server, points(made), seed=2).json()
    assert other["coarse_xyz"] == made["coarse_xyz"]
    assert other["fine_xyz"] != made["fine_xyz"]
    assert refine(server, points(made), seed=2).json() == other


def test_a_mesh_and_a_file_of_ours_are_refined_into_any_format(server: Server) -> None:
    mesh = trimesh.creation.box((1.0, 0.5, 0.25))
    answer = server.post("/refine?format=npz", json={**STEPS, "shape": file(mesh.export(file_type="stl"), "stl")})
    assert answer.headers["content-type"] == "application/x-npz"
    arrays = np.load(io.BytesIO(answer.content))
    assert len(arrays["fine_ijk"]) > len(arrays["coarse_ijk"]) > 100
    again = server.post("/refine?format=npz", json={**STEPS, "shape": file(answer.content, "npz")})
    assert np.array_equal(np.load(io.BytesIO(again.content))["coarse_ijk"], arrays["coarse_ijk"])


def test_events_tell_the_given_shape_and_the_steps_of_the_fine_stage(server: Server, made: dict[str, Any]) -> None:
    body = {**STEPS, "shape": points(made), "fine_steps": 3}
    text = server.post("/refine", json=body, headers={"Accept": "text/event-stream"}).text
    events = [block.split("\n") for block in text.strip().split("\n\n") if block.startswith("event")]
    told = [(lines[0].partition(": ")[2], json.loads("".join(each[6:] for each in lines[1:]))) for lines in events]
    coarse = next(data for name, data in told if name == "coarse")
    assert coarse["coarse_xyz"] == made["coarse_xyz"]
    assert {(data["stage"], data["steps"]) for name, data in told if name == "progress"} == {("fine", 3)}
    assert told[-1][0] == "completed"


def test_bentoml_s_client_refines_and_varies(server: Server, made: dict[str, Any]) -> None:
    with bentoml.SyncHTTPClient(server.url, timeout=120) as client:
        refined = client.refine(**STEPS, shape=points(made))
        varied = client.variations(**STEPS | {"seed": 2}, of={"request": STEPS}, strength=0.5, use_fine=False)
        with pytest.raises(BentoMLException, match="The shape has points outside"):
            client.refine(**STEPS, shape={"xyz": [[0, 0, 2]]})
        with pytest.raises(BentoMLException, match="either of or shape"):
            client.variations(**STEPS)
    assert refined["coarse_xyz"].dtype == np.float32
    assert {name: np.float32(value).tolist() for name, value in refined.items()} == {
        name: np.float32(value).tolist() for name, value in made.items()
    }
    body = {**STEPS, "seed": 2, "of": {"request": STEPS}, "strength": 0.5, "use_fine": False}
    again = server.post("/variations", json=body).json()
    assert np.array_equal(varied["coarse_xyz"], np.float32(again["coarse_xyz"]))
    assert varied["fine_xyz"] is None


def test_a_second_time_it_is_known(server: Server, made: dict[str, Any]) -> None:
    tag = refine(server, points(made)).headers["etag"]
    body = {**STEPS, "shape": points(made)}
    assert server.post("/refine", json=body, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({}, "shape should have one of xyz, file and job"),
        ({"xyz": [[0, 0, 0]], "job": "x"}, "shape should have one of xyz, file and job"),
        ({"file": "AAAA"}, "shape should have file and format together"),
        ({"xyz": []}, "shape.xyz should have at least 1 item"),
        ({"xyz": [[0, 0]]}, "shape.xyz.0 should have at least 3 items"),
        ({"xyz": [[0, 0, 0.7]]}, "The shape has points outside of [-0.5, 0.5]"),
        ({"xyz": [[0, 0, 0]], "normal": [[1, 0, 0], [1, 0, 0]]}, "The shape has 1 points and 2 normals"),
        ({"file": "!", "format": "npz"}, "The shape is not in Base64"),
        ({"file": "AAAA", "format": "npz"}, "The shape cannot be read, since it is no whole ZIP"),
        ({"file": "AAAA", "format": "docx"}, "shape.format should be"),
    ],
)
def test_a_shape_that_cannot_be_used_is_told_in_a_sentence(server: Server, shape: dict[str, Any], told: str) -> None:
    answer = refine(server, shape)
    assert_error(answer, 400, "invalid_request")
    assert told in answer.json()["error"]


def test_what_makes_no_sense_with_a_shape_is_refused(server: Server, made: dict[str, Any]) -> None:
    assert_error(refine(server, points(made), use_fine=False), 400, "invalid_request")
    assert_error(refine(server, {"job": "nobody"}), 404, "not_found")
    assert_error(server.post("/refine", json=STEPS), 400, "invalid_request")


def test_a_shape_may_be_longer_than_other_bodies_and_no_longer_than_its_own_limit(server: Server) -> None:
    long = [[0.01, 0.02, 0.03]] * 90_000
    assert refine(server, {"xyz": long}, ddim_steps=1).status_code == 200
    assert_error(refine(server, {"xyz": long}, "/jobs"), 413, "body_too_large")
    assert_error(refine(server, {"file": "A" * 2**24, "format": "npz"}), 413, "body_too_large")
