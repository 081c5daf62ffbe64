"""Several shapes of one prompt in one call: as JSON, as files, in a stream, in a batch and as jobs."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import bentoml
import httpx
import pytest

from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.service import ANEW, Server

pytestmark = pytest.mark.shared("server")
REQUEST = {"prompt": "a chair", "ddim_steps": 4, "seed": 1, "n": 3}


def single(server: Server, seed: int, **fields: Any) -> dict[str, Any]:
    shape: dict[str, Any] = server.generate(seed=seed, **fields).json()
    return {**shape, "seed": seed, "seed_text": str(seed), "warnings": [], "nearest_kinds": []}


def ask(
    server: Server, path: str = "/generate", headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    return server.post(path, json={**REQUEST, **fields}, headers=headers)


def told(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in answer.text.split("\n\n") if block.startswith("event: ")]
    return [
        (name.removeprefix("event: "), json.loads("\n".join(line.removeprefix("data: ") for line in data)))
        for name, *data in blocks
    ]


def test_variants_are_the_shapes_of_the_seeds_that_follow(server: Server) -> None:
    answer = ask(server, headers=ANEW)
    assert answer.status_code == 200
    assert answer.json() == {"results": [single(server, seed) for seed in (1, 2, 3)]}
    assert (answer.headers["x-seed"], answer.headers["x-seeds"]) == ("1", "1, 2, 3")


def test_one_variant_changes_nothing(server: Server) -> None:
    one, plain = ask(server, n=1), server.generate()
    assert one.content == plain.content
    assert one.headers["etag"] == plain.headers["etag"]
    assert "x-seeds" not in one.headers
    assert ask(server, n=None).content == plain.content


def test_without_a_seed_one_is_drawn_and_all_are_told(server: Server) -> None:
    answer = ask(server, seed=None, n=2, use_fine=False)
    seeds = [result["seed"] for result in answer.json()["results"]]
    assert seeds[1] == seeds[0] + 1
    assert answer.headers["x-seeds"] == ", ".join(map(str, seeds))


def test_who_has_all_variants_gets_them_not_again(server: Server) -> None:
    tag = ask(server).headers["etag"]
    again = ask(server, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert ask(server, headers={"If-None-Match": tag}, n=2).status_code == 200


def test_files_come_as_a_zip_with_each_seed_in_a_name(server: Server) -> None:
    answer = ask(server, "/generate?format=ply")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="a-chair-1-variants.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["a-chair-1.ply", "a-chair-2.ply", "a-chair-3.ply"]
        for seed in (1, 2, 3):
            alone = server.post("/generate?format=ply", json={**REQUEST, "n": 1, "seed": seed})
            assert archive.read(f"a-chair-{seed}.ply") == alone.content


def test_options_of_the_url_are_for_each_variant(server: Server) -> None:
    (first, *_) = ask(server, "/generate?up=z").json()["results"]
    alone = server.post("/generate?up=z", json={**REQUEST, "n": 1}).json()
    assert first == {**alone, "seed": 1, "seed_text": "1", "warnings": [], "nearest_kinds": []}
    assert "leave out levels, or n" in assert_error(ask(server, "/generate?format=ply&levels=2"), 400)


@pytest.mark.parametrize(
    ("path", "headers"), [("/generate", {"Accept": "text/event-stream"}), ("/generate_stream", {})]
)
def test_a_stream_tells_each_variant_by_its_index(server: Server, path: str, headers: dict[str, str]) -> None:
    answer = ask(server, path, headers)
    assert answer.headers["x-seeds"] == "1, 2, 3"
    *events, last = told(answer)
    assert last == ("completed", {"made": 3, "failed": 0})
    for index, seed in enumerate((1, 2, 3)):
        own = [(name, data) for name, data in events if data["index"] == index]
        names = [name for name, _ in own]
        assert names[0] == "queued"
        assert names[-1] == "variant"
        assert {"progress", "coarse"} <= set(names)
        assert dict(own)["variant"] == {"index": index, **single(server, seed)}
        assert dict(own)["coarse"]["seed_text"] == str(seed)


def test_a_batch_has_the_variants_of_each_prompt_in_order(server: Server) -> None:
    prompts = ["a chair", {"prompt": "a boat", "n": 1, "seed": 5}]
    answer = server.post("/batch_generate", json={"prompts": prompts, "n": 2, "ddim_steps": 4, "seed": 1})
    expected = [single(server, 1), single(server, 2), single(server, 5, prompt="a boat")]
    assert answer.json() == {"results": expected}


def test_bentomls_client_gets_variants_from_a_batch(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url, timeout=60) as client:
        answer = client.batch_generate(prompts=["a chair"], ddim_steps=4, seed=1, n=2)
    results = answer["results"] if isinstance(answer, dict) else answer.results
    assert [result["seed"] for result in results] == [1, 2]


def test_more_variants_than_a_batch_may_have_are_refused_everywhere(server: Server) -> None:
    batch = {"prompts": ["x", "y"], "n": 5, "ddim_steps": 4}
    answers = [ask(server, path, n=9) for path in ("/generate", "/generate?format=ply", "/generate_stream", "/jobs")]
    answers += [ask(server, headers={"Accept": "text/event-stream"}, n=9), server.post("/batch_generate", json=batch)]
    for answer in answers:
        assert "ask for at most 8 at a time" in assert_error(answer, 400, "invalid_request")


def test_a_variant_that_is_refused_does_not_cost_the_others(single: Server) -> None:
    body = {**REQUEST, "n": 4}
    *made, refused = single.post("/generate", json=body, headers=ANEW).json()["results"]
    assert [result["seed"] for result in made] == [1, 2, 3]
    assert refused["code"] == "queue_full"
    events = told(single.post("/generate_stream", json=body))
    assert events[-1] == ("completed", {"made": 3, "failed": 1})
    assert sum("error" in data for name, data in events if name == "variant") == 1
    files = single.post("/generate?format=npz", json=body, headers=ANEW)
    assert "a-chair-4 was not made: 2 requests are already waiting" in files.headers["x-xcube-warning"]


def test_jobs_are_one_for_each_variant_and_the_same_again_by_their_key(server: Server) -> None:
    key = {"Idempotency-Key": "variants"}
    answer = ask(server, "/jobs", key, seed=None, n=2)
    assert answer.status_code == 202
    first, second = answer.json()["jobs"]
    assert second["seed"] == first["seed"] + 1
    again = ask(server, "/jobs", key, seed=None, n=2).json()["jobs"]
    assert [job["id"] for job in again] == [first["id"], second["id"]]
    assert_error(ask(server, "/jobs", key, seed=None, n=3), 409, "idempotency_conflict")
    for job in (first, second):
        wait_for(lambda job=job: server.get(f"/jobs/{job['id']}").json()["state"] == "completed")
        made = server.get(f"/jobs/{job['id']}/result").json()
        assert made == server.generate(seed=job["seed"]).json()
