"""The real service as a process, with a model store of its own and tiny models of random weights."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.saved_models import save_models

ROOT = Path(__file__).parents[2]
START_SECONDS = 180
TEST_SECONDS = 300
"""A test of services takes seconds, but minutes where the machine has other work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the tests of this folder their time, where they do not ask for more."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@dataclass
class Server:
    """A running service."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=300, **options)

    def delete(self, path: str) -> httpx.Response:
        return httpx.delete(self.url + path, timeout=30)

    def generate(self, **fields: Any) -> httpx.Response:
        return self.post("/generate", json={"prompt": "a chair", "ddim_steps": 4, "seed": 1, **fields})

    def samplers(self) -> list[psutil.Process]:
        """The processes that hold models."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return [child for child in alive if "Sampler" in child.cmdline()]

    def wait_until(self, *statuses: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Waits until the health says one of some statuses."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                health: dict[str, Any] = httpx.get(self.url + "/health", timeout=5).json()
            except httpx.TransportError:
                time.sleep(0.1)
                continue
            if health["status"] in statuses:
                return health
            time.sleep(0.2)
        raise AssertionError(f"not {statuses} within {seconds} s:\n{self.log.read_text()}")

    def stop(self) -> int:
        """Sends SIGTERM as a supervisor does; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with text, coarse and fine models."""
    folder = tmp_path_factory.mktemp("checkpoints")
    save_models(folder)
    return folder


@pytest.fixture(scope="session")
def model_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BENTOML_HOME of the tests' own."""
    return tmp_path_factory.mktemp("bentoml")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Iterator[StartServer]:
    """Starts services; what still runs at the end of the module is killed."""
    servers: list[Server] = []

    def start(checkpoints: Path, *options: str, **settings: str) -> Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = tmp_path_factory.mktemp("log") / "service.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("XCUBE_")} | {
            "BENTOML_HOME": str(model_store),
            "XCUBE_HOST": "127.0.0.1",
            "XCUBE_PORT": str(port),
            "XCUBE_CHECKPOINT_DIR": str(checkpoints),
            "XCUBE_THREADS": "1",
            "XCUBE_DEVICE": "cpu",
            "XCUBE_DEADLINE_SECONDS": "3600",  # a machine that has other work too refuses nothing as too slow
            "XCUBE_DRAIN_SECONDS": "30",
            "XCUBE_JOBS_DIR": str(log.parent / "jobs"),
            **settings,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.serve", *options], cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        servers.append(Server(f"http://127.0.0.1:{environment['XCUBE_PORT']}", process, log))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            for process in [*psutil.Process(server.process.pid).children(recursive=True), server.process]:
                process.kill()
            server.process.wait(10)


@pytest.fixture(scope="module")
def server(start_server: StartServer, tiny_models: Path) -> Server:
    """A service with all models, ready."""
    running = start_server(tiny_models)
    running.wait_until("ready")
    return running
