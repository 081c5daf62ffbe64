"""POST /generate as server-sent events, and generate_stream of BentoML's client."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import bentoml
import httpx
import orjson
import pytest

from tests.support.errors import assert_error
from tests.support.figures import value, wait_for, wait_idle
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")

Events = list[tuple[str, dict[str, Any]]]
ACCEPT = {"Accept": "text/event-stream"}
STREAMS = [("/generate", ACCEPT), ("/generate_stream", {})]


def parse(text: str) -> Events:
    """The events of a stream; comments are left out."""
    events = []
    for block in text.split("\n\n"):
        lines = [line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")]
        if lines:
            data = "\n".join(text for name, text in lines if name == "data")
            events.append((dict(lines)["event"], json.loads(data)))
    return events


def names(events: Events) -> list[str]:
    """The kinds of events in order, each run of one kind once."""
    kinds = [name for name, _ in events]
    return [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]


def stream(server: Server, **fields: Any) -> Events:
    answer = server.post("/generate", json={"prompt": "a chair", "ddim_steps": 4, "seed": 1, **fields}, headers=ACCEPT)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parse(answer.text)


def test_the_events_tell_the_way_of_a_shape_and_end_with_what_generate_answers(single: Server) -> None:
    events = stream(single, ddim_steps=40)
    assert names(events) == ["queued", "progress", "coarse", "progress", "completed"]
    plain = single.generate(ddim_steps=40).json()
    coarse = dict(events)["coarse"]
    shown = {"coarse_xyz": plain["coarse_xyz"], "coarse_normal": plain["coarse_normal"]}
    assert coarse == {**shown, "seed": 1, "seed_text": "1"}
    assert dict(events)["completed"] == plain
    assert events[0] == ("queued", {"position": 0})
    for stage in ("coarse", "fine"):
        steps = [event for name, event in events if name == "progress" and event["stage"] == stage]
        assert [event["step"] for event in steps] == sorted(event["step"] for event in steps)
        assert {event["steps"] for event in steps} == {40}
        assert len(steps) > 2
        assert steps[-1]["step"] == 40
        assert all(event["seconds_left"] > 0 for event in steps[1:-1])
    assert events[-2][1]["seconds_left"] == 0


def test_what_is_worth_knowing_comes_before_the_end(server: Server) -> None:
    events = stream(server, prompt="chair " * 100)
    assert names(events)[-2:] == ["warning", "completed"]
    assert "77 tokens" in dict(events)["warning"]["warnings"][0]


def test_without_fine_the_coarse_shape_is_the_last_event_before_the_end(server: Server) -> None:
    events = stream(server, use_fine=False)
    assert names(events)[-2:] == ["coarse", "completed"]
    assert events[-1][1]["fine_xyz"] is None


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_a_recent_shape_comes_at_once_where_the_client_asks_for_it(server: Server, path: str) -> None:
    body = {"prompt": "a chair", "ddim_steps": 4, "seed": 12}
    plain = server.generate(seed=12).json()
    for query, told in (("?recent=true", ["coarse", "completed"]), ("", ["queued", "progress", "coarse", "progress"])):
        answer = server.post(f"{path}{query}", json=body, headers=ACCEPT)
        assert answer.headers["x-seed"] == "12"
        events = parse(answer.text)
        assert names(events)[: len(told)] == told
        assert dict(events)["completed"] == plain
    assert_error(server.post(f"{path}?recent=perhaps", json=body, headers=ACCEPT), 400, "invalid_request")


def test_previews_show_what_the_coarse_shape_becomes_and_change_nothing(single: Server) -> None:
    body = {"prompt": "a chair", "ddim_steps": 60, "seed": 13}
    events = parse(single.post("/generate?previews=3", json=body, headers=ACCEPT).text)
    kinds = [name for name, _ in events]
    assert 1 <= kinds.count("preview") <= 3
    assert kinds.index("preview") < kinds.index("coarse")
    shown = dict(events)
    assert shown["preview"].keys() == shown["coarse"].keys()
    assert len(shown["preview"]["coarse_xyz"]) == len(shown["preview"]["coarse_normal"]) > 0
    plain = single.post("/generate", json=body, headers={"Cache-Control": "no-cache"}).json()
    assert shown["completed"] == plain
    for wrong in ("-1", "51", "many"):
        assert_error(single.post(f"/generate?previews={wrong}", json=body, headers=ACCEPT), 400, "invalid_request")


def test_packed_events_hold_the_same_shapes_once(server: Server) -> None:
    body = {"prompt": "a chair", "ddim_steps": 4, "seed": 12}
    events = parse(server.post("/generate?shape=packed", json=body, headers=ACCEPT).text)
    assert names(events) == ["queued", "progress", "coarse", "progress", "sending", "completed"]
    told, plain = dict(events), server.generate(seed=12).json()
    for stage, event in (("coarse", "coarse"), ("fine", "completed")):
        data = base64.b64decode("".join(told[event][stage]))
        assert struct.unpack("<fI", gzip.decompress(data)[:8])[1] == len(plain[f"{stage}_xyz"])
        assert told[event]["seed_text"] == "12"
    assert "coarse" not in told["completed"]
    assert told["sending"]["bytes"] == len(orjson.dumps(told["completed"]))
    assert_error(server.post("/generate?shape=packed&size=9", json=body, headers=ACCEPT), 400, "invalid_request")


def test_bentomls_client_streams_the_same_events(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url, timeout=60) as client:
        chunks: Iterable[str] = client.generate_stream(prompt="a chair", ddim_steps=4, seed=1)
        events = parse("".join(chunks))
    assert names(events) == ["queued", "progress", "coarse", "progress", "completed"]
    assert dict(events)["completed"] == server.generate().json()


@pytest.mark.parametrize(("path", "headers"), STREAMS)
def test_a_request_that_is_refused_gets_a_status_and_no_stream(
    server: Server, path: str, headers: dict[str, str]
) -> None:
    assert_error(server.post(path, json={"prompt": ""}, headers=headers), 400, "invalid_request")


@pytest.mark.parametrize(("path", "headers"), STREAMS)
def test_no_proxy_and_no_cache_keeps_a_stream_back(server: Server, path: str, headers: dict[str, str]) -> None:
    answer = server.post(path, json={"prompt": "a chair", "ddim_steps": 1, "seed": 1}, headers=headers)
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["cache-control"] == "no-store"


@contextmanager
def read(server: Server, body: dict[str, Any]) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
    """The events of a stream as they come; its reader leaves at the block's end."""
    with httpx.stream("POST", server.url + "/generate", json=body, headers=ACCEPT, timeout=120) as answer:
        lines = (line.split(": ", 1) for line in answer.iter_lines() if line and not line.startswith(":"))
        yield ((name, json.loads(next(lines)[1])) for _, name in lines)


def test_who_waits_sees_the_queue_get_shorter(single: Server) -> None:
    # None takes less than another, so none goes before one that came earlier; each ends when its reader leaves.
    body = {"prompt": "x", "ddim_steps": 1000, "use_fine": False}
    wait_idle(single)
    with ExitStack() as third, ExitStack() as second, ExitStack() as first:
        assert any(name == "progress" for name, _ in first.enter_context(read(single, body)))
        second.enter_context(read(single, body))
        wait_for(lambda: value(single, "xcube_requests_waiting") == 1)
        last = third.enter_context(read(single, body))
        assert next(last) == ("queued", {"position": 2})
        for path, headers in STREAMS:
            full = single.post(path, json={"prompt": "x"}, headers=headers)
            assert_error(full, 429, "queue_full")
            assert int(full.headers["retry-after"]) > 0
        first.close()
        assert next(last) == ("queued", {"position": 1})
        second.close()
        assert next(last) == ("queued", {"position": 0})
    wait_idle(single)


def test_the_work_stops_when_the_reader_of_a_stream_leaves(single: Server) -> None:
    steps_before = value(single, "xcube_denoise_steps_total", stage="coarse")
    cancelled_before = value(single, "xcube_requests_cancelled_total")
    body = {"prompt": "x", "ddim_steps": 1000}
    with httpx.stream("POST", single.url + "/generate", json=body, headers=ACCEPT, timeout=120) as answer:
        for line in answer.iter_lines():
            if "progress" in line:
                break
    wait_for(lambda: value(single, "xcube_requests_cancelled_total") == cancelled_before + 1)
    # The only place is free again, and the Sampler computes nothing for who left.
    wait_idle(single)
    assert value(single, "xcube_denoise_steps_total", stage="coarse") - steps_before < 1000
