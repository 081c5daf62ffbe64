"""Two tiers: an HTTP process whose Samplers run elsewhere, as their own entry services, behind a shared token."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.gpu_tier import TOKEN, Balancer, balancer, sampler
from tests.support.idling import seconds_kept_alive
from tests.support.service import ANEW, Server, StartServer

pytestmark = [pytest.mark.shared("server"), pytest.mark.timeout(300)]
REQUEST = {"prompt": "a chair", "ddim_steps": 4, "seed": 11}


@dataclass
class Tiers:
    """The HTTP tier, two Samplers, and what leads each connection to the next of them."""

    server: Server
    samplers: list[Server]
    balancer: Balancer

    @property
    def sampler(self) -> str:
        return self.samplers[0].url


@pytest.fixture(scope="module")
def samplers(tiny_models: Path, model_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("samplers")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(sampler(tiny_models, model_store, folder / "first.log"))
        first.wait_until_ready()  # it imports the models; the other finds them
        yield [first, stack.enter_context(sampler(tiny_models, model_store, folder / "second.log"))]


@pytest.fixture(scope="module")
def tiers(
    samplers: list[Server], start_server: StartServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tiers]:
    nothing = tmp_path_factory.mktemp("no-models")
    with balancer([each.port for each in samplers]) as spread:
        server = start_server(
            nothing,
            XCUBE_SAMPLER_URL=spread.url,
            XCUBE_SAMPLER_TOKEN=TOKEN,
            BENTOML_HOME=str(nothing / "bentoml"),
            HTTP_PROXY="http://127.0.0.1:9",  # not for a machine's own addresses
        )
        for each in samplers:
            each.wait_until_ready()
        assert server.wait_until("ready", "error")["status"] == "ready"
        yield Tiers(server, samplers, spread)


def test_the_http_tier_starts_no_sampler_of_its_own(tiers: Tiers) -> None:
    assert tiers.server.samplers() == []


def test_the_result_is_that_of_one_process_with_its_own_sampler(tiers: Tiers, server: Server) -> None:
    before = tiers.balancer.connections.copy()
    answers = [each.post("/generate", json=REQUEST, headers=ANEW) for each in (server, tiers.server)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["fine_xyz"]
    assert answers[0].content == answers[1].content
    used: Counter[int] = tiers.balancer.connections - before
    assert all(used[each.port] >= 2 for each in tiers.samplers), "one generation is spread over both Samplers"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
def test_a_sampler_answers_nobody_without_the_token(tiers: Tiers, headers: dict[str, str]) -> None:
    for path in ("/status", "/begin", "/denoise", "/decode", "/schema.json"):
        answer = httpx.post(tiers.sampler + path, json={}, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthorized"


def test_a_sampler_shows_its_health_to_everybody(tiers: Tiers) -> None:
    assert {httpx.get(tiers.sampler + path).status_code for path in ("/livez", "/readyz")} == {200}


def test_a_sampler_keeps_idle_connections_as_long_as_its_own_setting_says(tiers: Tiers) -> None:
    assert 1.8 < seconds_kept_alive(tiers.sampler) < 4.5, "uvicorn's default is 5 s"


def test_a_sampler_unpickles_nothing_even_with_the_token(tiers: Tiers) -> None:
    """BentoML refuses pickled bodies for entry services alone, which is why the GPU tier serves the Sampler as one."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/vnd.bentoml+pickle"}
    for path in ("/status", "/begin", "/denoise", "/decode"):
        assert httpx.post(tiers.sampler + path, content=b"cposix\nsystem\n.", headers=headers).status_code == 415


def test_a_wrong_token_in_the_http_tier_shows_as_not_ready(
    samplers: list[Server], start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(tmp_path, XCUBE_SAMPLER_URL=samplers[0].url, XCUBE_SAMPLER_TOKEN="another")
    server.wait_until("loading")
    time.sleep(3)
    assert server.get("/health").json()["status"] == "loading"
    assert server.get("/readyz").status_code == 503
    assert server.get("/livez").status_code == 200


def test_a_sampler_that_is_taken_away_costs_no_request_and_no_byte(tiers: Tiers) -> None:
    """A pod that is deleted leaves the Service first, and gets SIGTERM after its preStop."""
    request = {**REQUEST, "ddim_steps": 300, "use_fine": False}
    answers: list[httpx.Response] = []
    running = threading.Thread(target=lambda: answers.append(tiers.server.post("/generate", json=request)))
    before = tiers.balancer.connections.copy()
    leaving, staying = tiers.samplers[1], tiers.samplers[0]
    running.start()
    end = time.monotonic() + 60
    while (tiers.balancer.connections - before)[leaving.port] < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert answers == [], "the request is under way"
    tiers.balancer.ports = [staying.port]
    leaving.process.send_signal(signal.SIGTERM)
    assert leaving.process.wait(60) == 0, leaving.log.read_text()
    running.join(120)
    assert [answer.status_code for answer in answers] == [200]
    assert tiers.server.post("/generate", json=request, headers=ANEW).content == answers[0].content
