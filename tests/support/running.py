"""`scripts/serve`, or another command that serves, started and stopped for a test."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from api.settings import PREFIX


@dataclass(frozen=True)
class Running:
    """url: where it answers. environment: what it was started with. seconds: from the start until it was ready."""

    url: str
    environment: dict[str, str]
    seconds: float
    process: subprocess.Popen[bytes]


def own_environment(folder: Path) -> dict[str, str]:
    """This process's environment with a model store in `folder`, and without anybody's settings of the service."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "true"}


@contextlib.contextmanager
def serve(root: Path, folder: Path, ready_within: float = 90.0) -> Iterator[Running]:
    """The service of the project at `root` with its demo models; its store and log lie in `folder`."""
    environment = own_environment(folder) | {"XCUBE_MODEL": "demo"}
    with started(root / "scripts" / "serve", folder, environment, folder / "log", ready_within) as running:
        yield running


@contextlib.contextmanager
def started(
    command: Path, folder: Path, environment: Mapping[str, str], log: Path, ready_within: float = 90.0
) -> Iterator[Running]:
    """A command that serves, called in `folder` with a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **environment,
        "XCUBE_HOST": "127.0.0.1",
        "XCUBE_PORT": str(port),
        "XCUBE_DRAIN_SECONDS": "5",
    }
    start = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [command], cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, log, start + ready_within)
        yield Running(url, environment, time.monotonic() - start, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, end: float) -> None:
    health: Any = None
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            health = httpx.get(f"{url}/health", timeout=5).json()
            if health["status"] != "loading":
                break
        time.sleep(0.25)
    assert health is not None, log.read_text()
    assert health["status"] == "ready", f"{health}\n{log.read_text()}"
