"""The answers that clients/rust is tested with are those of the service: same statuses, headers, fields and types.

`scripts/test tests/service/test_recorded_answers.py --slow --record` records them anew.
"""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.figures import running, wait_for
from tests.support.paths import ROOT
from tests.support.saved_models import save_models
from tests.support.service import Server, StartServer

pytestmark = [pytest.mark.shared("server"), pytest.mark.timeout(300)]

FOLDER = ROOT / "clients" / "rust" / "tests" / "answers"
HEADERS = ("content-type", "content-length", "etag", "x-seed", "retry-after", "x-xcube-warning")


def compare(name: str, live: httpx.Response, config: pytest.Config) -> None:
    """Fails where a recorded answer differs from a live one in more than its numbers and words."""
    recorded, body = same_head(name, live, config)
    assert int(recorded["content-length"]) == len(body)
    assert kind(json.loads(body)) == kind(live.json())


def same_head(name: str, live: httpx.Response, config: pytest.Config) -> tuple[dict[str, str], bytes]:
    """Headers and body of a recorded answer that has the status and the headers of a live one."""
    headers = {header: live.headers[header] for header in HEADERS if header in live.headers}
    if config.getoption("--record"):
        head = [f"HTTP/1.1 {live.status_code} {live.reason_phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        (FOLDER / f"{name}.http").write_bytes("\r\n".join([*head, "", ""]).encode() + live.content)
    status, recorded, body = read(name)
    assert status == live.status_code
    assert recorded.keys() == headers.keys()
    return recorded, body


def read(name: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a recorded answer."""
    head, body = (FOLDER / f"{name}.http").read_bytes().split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def kind(value: Any) -> Any:
    """Fields and types of a JSON value; the lists of a kind are alike, but points have three numbers."""
    if isinstance(value, dict):
        return {name: kind(inner) for name, inner in value.items()}
    if isinstance(value, list):
        if all(isinstance(inner, float | int) for inner in value):
            return f"{len(value)} numbers"
        return {str(kind(inner)) for inner in value}
    return type(value).__name__


def kinds(text: str) -> dict[str, Any]:
    """Fields and types of server-sent events by their names."""
    blocks = (block.splitlines() for block in text.split("\n\n") if block.startswith("event: "))
    found = {}
    for first, *lines in blocks:
        data = "".join(line.removeprefix("data: ") for line in lines)
        found[first.removeprefix("event: ")] = kind(json.loads(data))
    return found


def test_kinds_tell_fields_types_and_points_apart() -> None:
    shape = {"xyz": [[0.5, 1, 2], [3, 4, 5]], "fine": None}
    assert kind(shape) == kind({"xyz": [[1.5, 0, 0]], "fine": None})
    for other in (
        {"xyz": [[1, 2]], "fine": None},
        {"xyz": [], "fine": None},
        {"xyz": [[0, 0, 0]]},
        {**shape, "fine": 1},
    ):
        assert kind(shape) != kind(other)


@pytest.mark.parametrize("name", ["health", "shape", "coarse", "refused"])
def test_a_recorded_answer_is_what_the_service_says(name: str, server: Server, request: pytest.FixtureRequest) -> None:
    answers = {
        "health": lambda: server.get("/health"),
        "shape": lambda: server.generate(),
        "coarse": lambda: server.generate(use_fine=False),
        "refused": lambda: server.generate(ddim_steps=0),
    }
    compare(name, answers[name](), request.config)


def test_a_recorded_304_is_one_of_the_service(server: Server, request: pytest.FixtureRequest) -> None:
    fields = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
    tag = server.post("/generate", json=fields).headers["etag"]
    _, body = same_head(
        "not_modified", server.post("/generate", json=fields, headers={"If-None-Match": tag}), request.config
    )
    assert body == b""


def test_what_is_recorded_of_loading_is_what_the_service_says(loading: Server, request: pytest.FixtureRequest) -> None:
    compare("loading", loading.generate(), request.config)


def test_recorded_events_are_those_of_the_service(server: Server, request: pytest.FixtureRequest) -> None:
    fields = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
    live = server.post("/generate_stream", json=fields)
    _, body = same_head("events", live, request.config)
    assert kinds(body.decode()) == kinds(live.text)
    assert "coarse" in kinds(live.text)


def test_a_recorded_npz_is_one_of_the_service(server: Server, request: pytest.FixtureRequest) -> None:
    fields = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
    accept = {"Accept": "application/x-npz, application/json;q=0.5"}
    live = server.post("/generate", headers=accept, json=fields)
    recorded, body = same_head("npz", live, request.config)
    assert int(recorded["content-length"]) == len(body)
    with np.load(io.BytesIO(body)) as file, np.load(io.BytesIO(live.content)) as there:
        assert set(file.files) == set(there.files)
        assert all(file[name].dtype == there[name].dtype for name in there.files if name != "version")


def test_a_recorded_octree_is_one_of_the_service(server: Server, request: pytest.FixtureRequest) -> None:
    fields = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
    live = server.post("/generate", params={"format": "bcf"}, json=fields)
    recorded, body = same_head("octree", live, request.config)
    assert int(recorded["content-length"]) == len(body)
    assert body[:12] == live.content[:12]


def test_recorded_variants_are_those_of_the_service(single: Server, request: pytest.FixtureRequest) -> None:
    fields = {"prompt": "a chair", "ddim_steps": 4, "seed": 1, "use_fine": False}
    live = single.post("/batch_generate", json={"prompts": [fields], "n": 4})  # one more than there is room for
    compare("variants", live, request.config)


@pytest.mark.slow
def test_what_is_recorded_of_missing_models_is_what_the_service_says(
    start_server: StartServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    without_text = start_server(ROOT / "tests" / "golden", BENTOML_HOME=str(tmp_path))
    without_text.wait_until("error")
    compare("health_failed", without_text.get("/health"), request.config)
    compare("unavailable", without_text.generate(), request.config)


@pytest.mark.slow
def test_what_is_recorded_of_an_empty_shape_is_what_the_service_says(
    start_server: StartServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    save_models(tmp_path / "checkpoints", keep=-9)
    empty = start_server(tmp_path / "checkpoints", BENTOML_HOME=str(tmp_path / "bentoml"))
    empty.wait_until("ready")
    compare("empty", empty.generate(), request.config)


@pytest.mark.slow
def test_what_is_recorded_of_a_deadline_is_what_the_service_says(
    start_server: StartServer, tiny_models: Path, request: pytest.FixtureRequest
) -> None:
    hurried = start_server(tiny_models, XCUBE_DEADLINE_SECONDS="3")
    hurried.wait_until("ready")
    most = re.search(r"at most (\d+) steps", hurried.generate(ddim_steps=1000).text)
    assert most is not None
    (sampler,) = hurried.samplers()
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(hurried.generate, ddim_steps=int(most[1]) // 2)
        wait_for(lambda: running(hurried) == 1)
        sampler.suspend()
        try:
            compare("deadline", late.result(), request.config)
        finally:
            sampler.resume()


def test_every_recorded_answer_is_compared() -> None:
    compared = {"health", "shape", "coarse", "refused", "loading", "health_failed", "unavailable", "empty", "deadline"}
    compared |= {"events", "octree", "npz", "not_modified", "variants"}
    assert {path.stem for path in FOLDER.iterdir()} == compared
