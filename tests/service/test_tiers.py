"""Two tiers: an HTTP process whose Sampler runs elsewhere, as its own entry service, behind a shared token."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.service.conftest import ROOT, START_SECONDS, Server, StartServer

TOKEN = "a secret of this test"
REQUEST = {"prompt": "a chair", "ddim_steps": 4, "seed": 11}


@dataclass
class Tiers:
    """The HTTP tier, and the address of the Sampler behind it."""

    server: Server
    sampler: str


@pytest.fixture(scope="module")
def sampler(tiny_models: Path, model_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Sampler that is served as the GPU tier serves it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XCUBE_")} | {
        "BENTOML_HOME": str(model_store),
        "XCUBE_CHECKPOINT_DIR": str(tiny_models),
        "XCUBE_THREADS": "1",
        "XCUBE_DEVICE": "cpu",
        "XCUBE_SAMPLER_TOKEN": TOKEN,
    }
    command = [sys.executable, "-m", "bentoml", "serve", "service:Sampler", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("sampler") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + START_SECONDS
        while not ready(url):
            assert time.monotonic() < end, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.kill()
        process.wait()


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def tiers(sampler: str, start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Tiers:
    nothing = tmp_path_factory.mktemp("no-models")
    server = start_server(
        nothing, XCUBE_SAMPLER_URL=sampler, XCUBE_SAMPLER_TOKEN=TOKEN, BENTOML_HOME=str(nothing / "bentoml")
    )
    assert server.wait_until("ready", "error")["status"] == "ready"
    return Tiers(server, sampler)


def test_the_http_tier_starts_no_sampler_of_its_own(tiers: Tiers) -> None:
    assert tiers.server.samplers() == []


def test_the_result_is_that_of_one_process_with_its_own_sampler(
    tiers: Tiers, start_server: StartServer, tiny_models: Path
) -> None:
    alone = start_server(tiny_models, XCUBE_SAMPLER_TOKEN=TOKEN)
    alone.wait_until("ready")
    answers = [server.post("/generate", json=REQUEST) for server in (alone, tiers.server)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["fine_xyz"]
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
def test_a_sampler_answers_nobody_without_the_token(tiers: Tiers, headers: dict[str, str]) -> None:
    for path in ("/status", "/begin", "/denoise", "/decode", "/schema.json"):
        answer = httpx.post(tiers.sampler + path, json={}, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthorized"


def test_a_sampler_shows_its_health_to_everybody(tiers: Tiers) -> None:
    assert {httpx.get(tiers.sampler + path).status_code for path in ("/livez", "/readyz")} == {200}


def test_a_sampler_unpickles_nothing_even_with_the_token(tiers: Tiers) -> None:
    """BentoML refuses pickled bodies for entry services alone, which is why the GPU tier serves the Sampler as one."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/vnd.bentoml+pickle"}
    for path in ("/status", "/begin", "/denoise", "/decode"):
        assert httpx.post(tiers.sampler + path, content=b"cposix\nsystem\n.", headers=headers).status_code == 415


def test_a_wrong_token_in_the_http_tier_shows_as_not_ready(
    sampler: str, start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(tmp_path, XCUBE_SAMPLER_URL=sampler, XCUBE_SAMPLER_TOKEN="another")
    server.wait_until("loading")
    time.sleep(3)
    assert server.get("/health").json()["status"] == "loading"
    assert server.get("/readyz").status_code == 503
    assert server.get("/livez").status_code == 200
