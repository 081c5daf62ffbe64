"""The same request is not computed twice: ETag and If-None-Match, and what is in memory, against the real service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.figures import wait_for
from tests.support.service import ANEW, Server

pytestmark = [pytest.mark.quick, pytest.mark.shared("server")]
BODY = {"prompt": "a very old chair " * 50, "ddim_steps": 3, "seed": 41, "use_fine": False}
SAME = ("content-type", "cache-control", "vary", "etag", "x-seed", "x-xcube-warning")


def ask(server: Server, headers: dict[str, str] | None = None, query: str = "", **fields: Any) -> httpx.Response:
    return server.post(f"/generate{query}", json={**BODY, **fields}, headers=headers or {})


def computed(answer: httpx.Response) -> bool:
    """Whether models have worked for an answer."""
    return "coarse;" in answer.headers["server-timing"]


@pytest.mark.parametrize(("query", "kept"), [("", "no-store"), ("?format=ply&size=20", "private, no-cache")])
def test_the_second_answer_comes_from_memory_and_is_the_same(server: Server, query: str, kept: str) -> None:
    first = ask(server, query=query, headers=ANEW)
    again = ask(server, query=query, headers={"X-Request-ID": "again-1"})
    assert [computed(answer) for answer in (first, again)] == [True, False]
    assert again.content == first.content
    assert {name: again.headers.get(name) for name in SAME} == {name: first.headers.get(name) for name in SAME}
    assert all(name in first.headers for name in SAME), "the prompt is cut, so there is a warning too"
    assert first.headers["cache-control"] == kept
    assert again.headers["x-request-id"] == "again-1"
    assert "write;dur=" in again.headers["server-timing"]


def test_who_has_the_answer_gets_304_without_a_body_and_without_work(server: Server) -> None:
    drawn = ask(server, seed=None)
    seed = int(drawn.headers["x-seed"])
    known = {"If-None-Match": f'"another", W/{drawn.headers["etag"]}', "X-Request-ID": "known-1"}
    answer = ask(server, known, seed=seed)
    assert (answer.status_code, answer.content) == (304, b"")
    for name in ("etag", "x-seed", "vary", "cache-control"):
        assert answer.headers[name] == drawn.headers[name]
    assert answer.headers["x-request-id"] == "known-1"
    assert "content-type" not in answer.headers


def test_every_other_answer_is_another_one(server: Server) -> None:
    first = ask(server)
    known = {"If-None-Match": first.headers["etag"]}
    for other in (
        ask(server, known, query="?format=npz"),
        ask(server, known, query="?size=20"),
        ask(server, known, ddim_steps=2),
        ask(server, {"If-None-Match": "*"}),
        ask(server, known, seed=None),
    ):
        assert other.status_code == 200
        assert other.content != first.content or "*" in other.request.headers["if-none-match"]
    anew = ask(server, {**known, **ANEW})
    assert computed(anew)
    assert (anew.content, anew.headers["etag"]) == (first.content, first.headers["etag"])
    refused = ask(server, known, ddim_steps=0)
    assert refused.status_code == 400
    assert "etag" not in refused.headers


def test_the_result_of_a_job_has_a_tag_of_its_own(server: Server) -> None:
    path = server.post("/jobs", json={**BODY, "seed": None}).headers["location"]
    wait_for(lambda: server.get(path).json()["state"] == "completed")
    first = server.get(f"{path}/result?format=ply")
    tag = first.headers["etag"]
    for known in (tag, "*"):
        answer = server.get(f"{path}/result?format=ply", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert answer.headers["x-seed"] == first.headers["x-seed"]
    for query in ("", "?format=ply&up=y", "?format=npz"):
        other = server.get(f"{path}/result{query}", headers={"If-None-Match": tag})
        assert other.status_code == 200
        assert other.headers["etag"] != tag
