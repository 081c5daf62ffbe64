"""The GPU tier of a test: Samplers as entry services, and something that spreads connections over them."""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.service import Server, own_environment, started

TOKEN = "a secret of this test"
SERVE_SAMPLER = [sys.executable, "-m", "bentoml", "serve", "service:Sampler"]


@contextlib.contextmanager
def sampler(checkpoints: Path, model_store: Path, log: Path, token: str = TOKEN) -> Iterator[Server]:
    """A Sampler, served as deploy/overlays/split serves it, but on a CPU; it may still load its models."""
    environment = own_environment(
        model_store, XCUBE_CHECKPOINT_DIR=str(checkpoints), XCUBE_THREADS="1", XCUBE_DEVICE="cpu",
        XCUBE_SAMPLER_TOKEN=token, XCUBE_KEEP_ALIVE_SECONDS="2",
    )  # fmt: skip
    with started(SERVE_SAMPLER, environment, log) as server:
        yield server


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
