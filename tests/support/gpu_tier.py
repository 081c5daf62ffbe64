"""The GPU tier of a test: Samplers as entry services, and something that spreads connections over them."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.service.conftest import ROOT, START_SECONDS

TOKEN = "a secret of this test"


@dataclass
class SamplerProcess:
    """A Sampler that is served as deploy/overlays/split serves it, but on a CPU."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not self._ready():
            assert time.monotonic() < end, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@contextlib.contextmanager
def sampler(checkpoints: Path, model_store: Path, log: Path) -> Iterator[SamplerProcess]:
    """A Sampler that has been started; it may still load its models."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XCUBE_")} | {
        "BENTOML_HOME": str(model_store),
        "XCUBE_CHECKPOINT_DIR": str(checkpoints),
        "XCUBE_THREADS": "1",
        "XCUBE_DEVICE": "cpu",
        "XCUBE_SAMPLER_TOKEN": TOKEN,
        "XCUBE_KEEP_ALIVE_SECONDS": "2",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "service:Sampler", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        yield SamplerProcess(port, process, log)
    finally:
        if process.poll() is None:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()
            process.wait()


class Balancer(socketserver.ThreadingTCPServer):
    """Leads each new connection to the next port, as a cluster leads each to the next pod."""

    daemon_threads = True

    def __init__(self, ports: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.ports = ports
        self.connections: Counter[int] = Counter()
        self._turns = itertools.count()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_port(self) -> int:
        ports = self.ports
        port = ports[next(self._turns) % len(ports)]
        self.connections[port] += 1
        return port


class _Forward(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Balancer)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.next_port())) as target:
            back = threading.Thread(target=_pump, args=(target, self.request), daemon=True)
            back.start()
            _pump(self.request, target)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def balancer(ports: list[int]) -> Iterator[Balancer]:
    """A running balancer."""
    with Balancer(ports) as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield running
        running.shutdown()
