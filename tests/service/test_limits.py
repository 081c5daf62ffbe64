"""Limits of size and access, as settings set them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.idling import seconds_kept_alive, seconds_open
from tests.support.paths import ROOT
from tests.support.service import Server, StartServer

pytestmark = pytest.mark.shared("server")

REQUEST = {"prompt": "a chair", "ddim_steps": 1, "seed": 1}
KEY = "correct horse"
JSON = {"Content-Type": "application/json"}
ORIGIN = {"Origin": "https://example.org"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one more key."""
    path = tmp_path_factory.mktemp("keys") / "keys.yaml"
    path.write_text("keys:\n  - name: web\n    key: one of several\n    requests_per_minute: 1\n")
    return path


@pytest.fixture(scope="module")
def guarded(start_server: StartServer, tiny_models: Any, keys: Path) -> Server:
    """A service with keys, an origin that may call it, small shapes, short bodies, and two times for idle clients."""
    running = start_server(
        tiny_models,
        "--timeout-keep-alive",
        "1",
        XCUBE_KEEP_ALIVE_SECONDS="600",
        XCUBE_API_KEY=KEY,
        XCUBE_API_KEYS_FILE=str(keys),
        XCUBE_WORKERS="2",
        XCUBE_CORS_ORIGINS="https://example.org",
        XCUBE_MAX_VOXELS="10",
        XCUBE_MAX_BODY_BYTES="2048",
        XCUBE_SAMPLER_TOKEN="a secret between its own processes",
    )
    running.wait_until("ready")
    return running


def bearer(key: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"X-API-Key": "wrong"}, {"Authorization": KEY}])
def test_without_the_key_nothing_but_probes_answers(guarded: Server, headers: dict[str, str]) -> None:
    for path in ("/generate", "/generate_stream", "/batch_generate", "/jobs"):
        answer = guarded.post(path, json=REQUEST, headers=headers)
        assert_error(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert KEY not in answer.text
    for path in ("/", "/schema.json", "/docs.json", "/jobs/x", "/other"):
        assert_error(guarded.get(path, headers=headers), 401, "unauthorized")
    for path in ("/health", "/livez", "/readyz", "/healthz", "/metrics"):
        assert guarded.get(path, headers=headers).status_code == 200
    for path in ("/ui/", "/docs", "/redoc", "/static/docs.js", "/openapi.json"):  # a browser has no key to open them
        assert guarded.get(path, headers=headers).status_code == 200


def test_a_browser_without_the_key_is_sent_to_the_page_that_asks_for_it(guarded: Server) -> None:
    page = guarded.get("/", headers={"Accept": "text/html,*/*;q=0.8"}, follow_redirects=True)
    assert page.status_code == 200
    assert page.url.path == "/ui/"
    assert_error(guarded.post("/", headers={"Accept": "text/html"}), 401, "unauthorized")


@pytest.mark.parametrize("headers", [bearer(), {"X-API-Key": KEY}])
def test_with_the_key_everything_answers(guarded: Server, headers: dict[str, str]) -> None:
    assert guarded.get("/docs", headers=headers).status_code == 200
    assert guarded.post("/health", json={}, headers=headers).status_code == 200


def test_a_key_of_a_file_has_its_quota_over_all_processes_until_the_file_changes(guarded: Server, keys: Path) -> None:
    web = bearer("one of several")
    assert_error(guarded.post("/generate", json=REQUEST, headers=web), 422, "too_many_voxels")
    for _ in range(6):  # each on a connection of its own, so both processes get some
        refused = guarded.post("/generate", json=REQUEST, headers=web)
        assert_error(refused, 429, "quota_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert_error(guarded.post("/generate", json=REQUEST, headers=bearer()), 422, "too_many_voxels")
    keys.write_text("keys:\n  - name: web\n    key: another one\n")
    for _ in range(6):  # each process has seen a key by now, and looks
        wait_for(lambda: guarded.get("/jobs", headers=web).status_code == 401)
    for _ in range(6):
        assert guarded.get("/jobs", headers=bearer("another one")).status_code == 200


def test_a_shape_with_too_many_voxels_is_refused_before_the_fine_stage(guarded: Server) -> None:
    text = assert_error(guarded.post("/generate", json=REQUEST, headers=bearer()), 422, "too_many_voxels")
    assert "XCUBE_MAX_VOXELS" in text
    assert "coarse" in text


def test_a_body_that_is_too_long_is_refused(guarded: Server) -> None:
    assert_error(guarded.post("/jobs", content=b"x" * 2049, headers=bearer() | JSON), 413, "body_too_large")
    assert_error(guarded.post("/batch_generate", data={"prompts": "x"}, headers=bearer()), 415)


def test_a_browser_may_call_from_the_origins_that_are_set(guarded: Server, server: Server) -> None:
    asked = {**ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = httpx.options(guarded.url + "/generate", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    refused = guarded.post("/generate", json=REQUEST, headers=ORIGIN)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    other = guarded.get("/health", headers={"Origin": "https://example.com"})
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in server.get("/health", headers=ORIGIN).headers


@pytest.mark.parametrize("path", ["/health", "/docs", "/ui/", "/nothing", "/schema.json"])
def test_every_answer_has_security_headers(server: Server, path: str) -> None:
    headers = server.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    if headers["content-type"] == "application/json":
        assert headers["cache-control"] == "no-store"


def test_connections_that_bring_no_request_are_closed_while_others_are_served(server: Server) -> None:
    flood = partial(seconds_open, server.url, silent=200, trickling=200, longest=40)
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(flood)
        assert server.generate().status_code == 200
        while not opened.done():
            assert server.get("/livez").elapsed.total_seconds() < 5
            time.sleep(0.5)
    assert min(opened.result()) > 9.5, "documented are 10 s"
    assert max(opened.result()) < 20


def test_bentoml_s_option_for_idle_connections_wins_over_the_setting(guarded: Server) -> None:
    assert 0.8 < seconds_kept_alive(guarded.url) < 4, "uvicorn's default is 5 s"


def test_a_port_in_use_ends_the_start_with_one_sentence(server: Server, tmp_path: Path) -> None:
    port = str(server.port)
    environment = os.environ | {"XCUBE_HOST": "127.0.0.1", "XCUBE_PORT": port, "BENTOML_HOME": str(tmp_path)}
    start = subprocess.run(
        [sys.executable, "-m", "cli.serve"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert start.returncode == 1
    assert start.stderr == (
        f"xcube: 127.0.0.1:{port} is already in use: stop what listens there, or set XCUBE_PORT or XCUBE_HOST.\n"
    )
