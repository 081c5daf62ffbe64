"""Long answers come in the encoding that a client asks for, and are the same shape."""

from __future__ import annotations

import gzip
import time
from typing import Any

import httpx
import pytest
import zstandard

from tests.support.service import Server

pytestmark = [pytest.mark.quick, pytest.mark.shared("server")]
BODY = {"prompt": "a chair", "ddim_steps": 2, "seed": 51}


def ask(server: Server, encoding: str, query: str = "", **headers: str) -> httpx.Response:
    return server.post(f"/generate{query}", json=BODY, headers={"Accept-Encoding": encoding, **headers})


def raw(server: Server, method: str, path: str, encoding: str, body: Any = None) -> tuple[httpx.Headers, bytes]:
    """Headers and bytes as they came over the wire."""
    with httpx.stream(
        method, server.url + path, json=body, headers={"Accept-Encoding": encoding}, timeout=60, verify=False
    ) as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join(answer.iter_raw())


@pytest.mark.parametrize("query", ["", *(f"?format={name}" for name in ("ply", "obj", "vox&size=100", "glb", "stl"))])
def test_what_is_unpacked_is_what_comes_without_compression(server: Server, query: str) -> None:
    plain = ask(server, "identity", query)
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["vary"]
    for encoding, unpack in (
        ("gzip", gzip.decompress),
        ("zstd", lambda data: zstandard.ZstdDecompressor().decompress(data)),
    ):
        headers, content = raw(server, "POST", f"/generate{query}", encoding, BODY)
        assert headers["content-encoding"] == encoding
        assert "content-length" not in headers
        assert headers["vary"] == plain.headers["vary"]
        assert headers["etag"] == f"W/{plain.headers['etag']}", "other bytes of the same shape"
        assert len(content) < len(plain.content)
        assert unpack(content) == plain.content


@pytest.mark.parametrize("query", ["?format=npz", "?format=schem"])
def test_what_is_compressed_already_is_sent_as_it_is(server: Server, query: str) -> None:
    answer = ask(server, "gzip, zstd", query)
    assert "content-encoding" not in answer.headers
    assert "Accept-Encoding" not in answer.headers["vary"]
    refused = ask(server, "gzip, identity;q=0", query)
    assert refused.headers["content-encoding"] == "gzip"
    assert refused.content == answer.content


def test_short_answers_and_errors_stay_as_they_are(server: Server) -> None:
    headers = {"Accept-Encoding": "gzip"}
    for answer in (
        server.get("/health", headers=headers),
        server.post("/generate", json={"prompt": ""}, headers=headers),
    ):
        assert "content-encoding" not in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "identity"])
def test_the_tag_of_a_compressed_answer_gets_304_with_the_same_tag(server: Server, encoding: str) -> None:
    first = ask(server, encoding)
    again = ask(server, encoding, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("etag", "vary"):
        assert again.headers[name] == first.headers[name]


def test_events_are_not_held_back(server: Server) -> None:
    body = {**BODY, "ddim_steps": 20}
    headers = {"Accept-Encoding": "gzip, zstd", "Accept": "text/event-stream", "Cache-Control": "no-cache"}
    with httpx.stream("POST", f"{server.url}/generate", json=body, headers=headers, timeout=60, verify=False) as answer:
        assert "content-encoding" not in answer.headers
        times = [(time.monotonic(), chunk) for chunk in answer.iter_raw()]
    first = next(at for at, chunk in times if b"event: progress" in chunk)
    last = next(at for at, chunk in times if b"event: completed" in chunk)
    assert last > first


def test_a_head_has_the_headers_of_the_get_and_no_body(server: Server) -> None:
    got, content = raw(server, "GET", "/openapi.json", "gzip")
    headed, nothing = raw(server, "HEAD", "/openapi.json", "gzip")
    assert content
    assert nothing == b""
    assert headed["content-encoding"] == got["content-encoding"] == "gzip"
    assert "content-length" not in headed
    assert headed["vary"] == got["vary"]
