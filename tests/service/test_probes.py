"""What a kubelet does to a pod, done to the real process with the numbers of the manifests: probes, then the end."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.errors import assert_error
from tests.support.figures import value, wait_for
from tests.support.kustomize import build
from tests.support.paths import ROOT
from tests.support.service import Server, StartServer

SECONDS_OF_WORK = 4


@dataclass
class Kubelet:
    """Probes a server as one container's manifest says; counts failures in a row as a kubelet does."""

    container: dict[str, Any]
    server: Server
    failures: dict[str, int] = field(default_factory=dict)

    def probe(self, kind: str) -> bool:
        """One probe; False if it failed."""
        probe = self.container[f"{kind}Probe"]
        try:
            answer = self.server.request("GET", probe["httpGet"]["path"], timeout=probe["timeoutSeconds"])
            good = 200 <= answer.status_code < 400
        except httpx.HTTPError:
            good = False
        self.failures[kind] = 0 if good else self.failures.get(kind, 0) + 1
        return good

    def gave_up(self, kind: str) -> bool:
        return self.failures.get(kind, 0) >= int(self.container[f"{kind}Probe"]["failureThreshold"])

    def wait(self, kind: str) -> float:
        """Probes with the manifest's period until it is good; returns seconds. Fails where a kubelet gives up."""
        start = time.monotonic()
        while not self.probe(kind):
            assert not self.gave_up(kind), f"{kind} probe gave up:\n{self.server.log.read_text()}"
            time.sleep(self.container[f"{kind}Probe"]["periodSeconds"])
        return time.monotonic() - start


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    """The pod of the CPU overlay."""
    (deployment,) = [each for each in build(ROOT / "deploy/overlays/cpu") if each["kind"] == "Deployment"]
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


def drain_seconds(container: dict[str, Any]) -> str:
    return next(str(each["value"]) for each in container["env"] if each["name"] == "XCUBE_DRAIN_SECONDS")


def test_a_pod_starts_serves_and_ends_without_losing_a_request(
    pod: dict[str, Any], container: dict[str, Any], start_server: StartServer, tiny_models: Path
) -> None:
    server = start_server(tiny_models, XCUBE_DRAIN_SECONDS=drain_seconds(container))
    kubelet = Kubelet(container, server)
    kubelet.wait("startup")
    while not kubelet.probe("readiness"):  # not ready is no failure: it only keeps traffic away
        assert kubelet.probe("liveness")
        time.sleep(0.2)
    steps = steps_of(SECONDS_OF_WORK, server)
    answers: dict[str, httpx.Response] = {}

    def request(name: str) -> threading.Thread:
        def send() -> None:
            answers[name] = server.generate(ddim_steps=steps, use_fine=False, seed=len(name))

        thread = threading.Thread(target=send)
        thread.start()
        return thread

    placed = value(server, "xcube_request_queue_time_seconds_count")
    before = request("before the end began")
    end = time.monotonic() + SECONDS_OF_WORK / 3
    while time.monotonic() < end:
        for kind in ("liveness", "readiness"):
            kubelet.probe(kind)
            assert not kubelet.gave_up(kind), f"a busy service failed its {kind} probes"
        time.sleep(0.1)

    # The pod is deleted: preStop first, while load balancers may still send requests, then SIGTERM.
    deleted = time.monotonic()
    late = request("late, during preStop")
    wait_for(lambda: value(server, "xcube_request_queue_time_seconds_count") == placed + 2)
    server.process.send_signal(signal.SIGTERM)
    for thread in (before, late):
        thread.join(200)
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert len(answers) == 2
    assert server.process.wait(60) == 0
    assert time.monotonic() - deleted < pod["terminationGracePeriodSeconds"]
    assert not kubelet.probe("readiness")


@pytest.fixture(scope="module")
def incomplete(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A service that has just been started, and will find no text tower."""
    return start_server(ROOT / "tests" / "golden", BENTOML_HOME=str(tmp_path_factory.mktemp("home")))


def test_a_pod_without_all_models_lives_but_gets_no_traffic(container: dict[str, Any], incomplete: Server) -> None:
    kubelet = Kubelet(container, incomplete)
    kubelet.wait("startup")
    incomplete.wait_until("error")
    for _ in range(container["livenessProbe"]["failureThreshold"] + 1):
        assert kubelet.probe("liveness"), "a restart would not bring the models"
        assert not kubelet.probe("readiness")
    assert kubelet.gave_up("readiness")


def test_a_service_without_a_text_tower_names_it_and_stays_up(incomplete: Server) -> None:
    health = incomplete.wait_until("error", "ready")
    assert health["status"] == "error"
    assert health["model_loaded"] is False
    assert "text" in health["error"]
    assert "\n" not in health["error"]
    assert incomplete.get("/livez").status_code == 200
    for path in ("/readyz", "/v2/health/ready", "/v2/models/text/ready", "/v2/models/coarse/ready"):
        assert assert_error(incomplete.get(path), 503, "models_unavailable") == health["error"]
    assert assert_error(incomplete.generate(), 503, "models_unavailable") == health["error"]
    assert "Traceback" not in incomplete.log.read_text()
    assert incomplete.stop() == 0


def test_a_pod_that_ends_while_it_loads_ends_at_once(
    container: dict[str, Any], start_server: StartServer, tiny_models: Path
) -> None:
    server = start_server(tiny_models, XCUBE_DRAIN_SECONDS=drain_seconds(container))
    Kubelet(container, server).wait("startup")
    start = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - start < float(drain_seconds(container)) / 2, "there was nothing to drain"


def steps_of(seconds: float, server: Server) -> int:
    """Denoising steps that take about so long."""
    trial = 40
    start = time.monotonic()
    assert server.generate(ddim_steps=trial, use_fine=False).status_code == 200
    return max(trial, min(1000, int(trial * seconds / (time.monotonic() - start))))
