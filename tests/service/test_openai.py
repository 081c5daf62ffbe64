"""OpenAI's own client, and clients of serving engines that make 3-D, get their files from this service."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import trimesh

from tests.support.figures import wait_for
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")
FAST = {"prompt": "a chair", "num_inference_steps": 3, "seed": 5}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def make(client: openai.OpenAI, **fields: Any) -> dict[str, Any]:
    return client.post("/meshes", body={**FAST, **fields}, cast_to=httpx.Response).json()  # type: ignore[no-any-return]


def surface(content: bytes) -> trimesh.Trimesh:
    return trimesh.load_mesh(io.BytesIO(content), file_type="glb")


def test_the_models_are_listed_as_one_and_can_be_named_in_a_request(client: openai.OpenAI) -> None:
    models = client.models.list().data
    assert [(model.object, model.owned_by) for model in models] == [("model", "xcube-serve")]
    assert client.models.retrieve(models[0].id) == models[0]
    assert abs(models[0].created - time.time()) < 3600
    assert make(client, model=models[0].id)["model"] == models[0].id
    for call in (lambda: client.models.retrieve("gpt-5"), lambda: make(client, model="gpt-5")):
        with pytest.raises(openai.NotFoundError, match=r"leave it out, or name what there is: \w+") as error:
            call()
        assert error.value.code == "not_found"


def test_files_in_base64_are_those_of_generate_each_with_its_seed(server: Server, client: openai.OpenAI) -> None:
    answer = make(client, n=2, response_format="b64_json")
    assert [one["seed"] for one in answer["data"]] == [5, 6]
    for one in answer["data"]:
        content = base64.b64decode(one["b64_json"], validate=True)
        same = server.post("/generate?format=glb", json={"prompt": "a chair", "ddim_steps": 3, "seed": one["seed"]})
        assert content == same.content
        assert surface(content).is_watertight
    assert answer["data"][0]["b64_json"] != answer["data"][1]["b64_json"]
    assert abs(answer["created"] - time.time()) < 60


def test_output_format_and_size_choose_the_file(client: openai.OpenAI) -> None:
    answer = make(client, response_format="b64_json", output_format="npz", size=16)
    file = np.load(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))
    assert int(np.ptp(file["fine_ijk"].astype(int), axis=0).max()) + 1 == 16


@pytest.mark.parametrize("fields", [{}, {"response_format": "url", "output_format": "stl", "size": 20}])
def test_without_waiting_there_is_an_object_to_ask_about_whose_url_has_the_file(
    client: openai.OpenAI, fields: dict[str, Any]
) -> None:
    made = make(client, **fields)
    assert (made["object"], made["url"], made["seed"]) == ("mesh", None, 5)
    assert made["status"] in ("queued", "in_progress")

    def now() -> dict[str, Any]:
        return client.get(f"/meshes/{made['id']}", cast_to=httpx.Response).json()  # type: ignore[no-any-return]

    wait_for(lambda: now()["status"] == "completed")
    done = now()
    assert (done["progress"], done["error"], done["format"]) == (100, None, fields.get("output_format", "glb"))
    content = client.get(f"/meshes/{made['id']}/content", cast_to=httpx.Response)
    assert content.content == httpx.get(done["url"]).content
    if "size" not in fields:
        assert surface(content.content).is_watertight
    else:
        assert content.headers["x-xcube-size"].split("x").count("20") >= 1
    removed = client.delete(f"/meshes/{made['id']}", cast_to=httpx.Response).json()
    assert (removed["id"], removed["status"]) == (made["id"], "deleted")
    with pytest.raises(openai.NotFoundError):
        now()


def test_a_mesh_that_is_deleted_early_is_canceled_and_says_so(client: openai.OpenAI) -> None:
    made = make(client, num_inference_steps=1000)
    with pytest.raises(openai.ConflictError) as error:
        client.get(f"/meshes/{made['id']}/content", cast_to=httpx.Response)
    assert error.value.code == "job_not_finished"
    client.delete(f"/meshes/{made['id']}", cast_to=httpx.Response)
    gone = client.get(f"/meshes/{made['id']}", cast_to=httpx.Response).json()
    assert (gone["status"], gone["error"]["code"], gone["url"]) == ("failed", "job_canceled", None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"n": 11, "seed": "x"}, "n should be less than or equal to 10; seed"),
        ({"n": 2}, "b64_json"),
        ({"output_format": "fbx"}, "output_format should be one of json, npz"),
        ({"size": "1024x1024"}, "size should be a valid integer"),
        ({"negative_prompt": "ugly"}, "negative_prompt is not a known field"),
    ],
)
def test_what_is_wrong_is_told_in_openai_s_form(client: openai.OpenAI, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        make(client, **fields)
    assert error.value.body == {
        "message": error.value.body["message"],  # type: ignore[index]
        "type": "invalid_request_error", "param": None, "code": "invalid_request",
    }  # fmt: skip
    assert words in str(error.value)
    assert error.value.request_id


def test_paths_that_there_are_not_and_methods_are_told_in_openai_s_form(server: Server) -> None:
    for method, path, status, kind in (
        ("POST", "/v1/chat/completions", 404, "not_found_error"),
        ("GET", "/v1/meshes/nothing", 404, "not_found_error"),
        ("GET", "/v1/meshes/00.fbx/content", 404, "not_found_error"),
        ("PUT", "/v1/meshes", 405, "invalid_request_error"),
    ):
        answer = server.request(method, path)
        assert (answer.status_code, list(answer.json())) == (status, ["error"]), path
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.json()["error"]["type"] == kind
    assert server.request("PUT", "/v1/meshes").headers["allow"] == "POST"
