"""The one way in which tests start a service: a command as a process, with an environment and a log of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.paths import ROOT

START_SECONDS = 180.0
"""Patience with a start, which takes seconds, but minutes where the machine has other work."""
DRAIN_SECONDS = 30
"""What a service of the tests has to end its work after SIGTERM."""
AT_ONCE = DRAIN_SECONDS / 2
"""Within this time a service ends that has no work."""

ANEW = {"Cache-Control": "no-cache"}


@dataclass
class Server:
    """A service that was started.

    url: where it answers. environment: what it was started with. begun: when, on the monotonic clock.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    environment: dict[str, str]
    begun: float

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def request(self, method: str, path: str, timeout: float = 30, **options: Any) -> httpx.Response:
        """A request on a connection of its own, which asks for no compression unless its headers do."""
        options["headers"] = {"Accept-Encoding": "identity", **(options.get("headers") or {})}
        # Whoever verifies reads all certificates first: 30 ms of a core in each call, though none uses TLS.
        return httpx.request(method, self.url + path, timeout=timeout, verify=False, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, timeout=300, **options)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)

    def generate(self, **fields: Any) -> httpx.Response:
        """A shape that is made anew, whatever the service has in memory."""
        body = {"prompt": "a chair", "ddim_steps": 4, "seed": 1, **fields}
        return self.post("/generate", json=body, headers=ANEW)

    def processes(self) -> list[psutil.Process]:
        """Those that the service's first process has started."""
        return [child for child in psutil.Process(self.process.pid).children(recursive=True) if command_of(child)]

    def samplers(self) -> list[psutil.Process]:
        """The processes that hold models."""
        return [child for child in self.processes() if "Sampler" in command_of(child)]

    def wait_until(self, *statuses: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Waits until the health says one of some statuses."""
        health: dict[str, Any] = {}

        def reached() -> bool:
            health.update(self.request("GET", "/health", timeout=5).json())
            return health["status"] in statuses

        self._wait(reached, f"not {statuses}", seconds)
        return health

    def wait_until_ready(self, seconds: float = START_SECONDS) -> float:
        """Waits until it is ready, as its probe says; returns the seconds since its start."""
        self._wait(lambda: self.request("GET", "/readyz", timeout=5).status_code == 200, "not ready", seconds)
        return time.monotonic() - self.begun

    def _wait(self, condition: Callable[[], bool], otherwise: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log.read_text()}"
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            time.sleep(0.1)
        raise AssertionError(f"{otherwise} within {seconds} s:\n{self.log.read_text()}")

    def stop(self, within: float = 120.0) -> int:
        """Sends SIGTERM as a supervisor does; returns the exit status. Raises subprocess.TimeoutExpired."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def kill(self) -> None:
        """Kills every process of the service, as a crash of the machine does."""
        if self.process.poll() is None:
            for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait(10)


StartServer = Callable[..., Server]
"""The fixture `start_server`: a folder of checkpoints, options of the command, settings as keywords -> a service."""


def command_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty once it has ended."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def own_environment(home: Path, **variables: str) -> dict[str, str]:
    """This process's environment without anybody's settings of the service, with a BENTOML_HOME, and with variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("XCUBE_", "BENTOML_"))}
    return {**inherited, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true", **variables}


@contextlib.contextmanager
def started(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path, cwd: Path = ROOT, **options: Any
) -> Iterator[Server]:
    """A command that serves, as long as the block runs; what is left of its processes then is killed.

    It listens on XCUBE_PORT, or else on a free port, which it gets in the variables that `scripts/serve` reads and in
    those that BentoML reads. `options` are those of subprocess.Popen; by default it writes into the log.
    """
    port = environment.get("XCUBE_PORT") or str(free_port())
    address = {"XCUBE_HOST": "127.0.0.1", "XCUBE_PORT": port, "BENTOML_HOST": "127.0.0.1", "BENTOML_PORT": port}
    variables = {**environment, **address}
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=variables, **{"stdout": output, "stderr": output, **options})
    server = Server(f"http://127.0.0.1:{port}", process, log, variables, begun)
    try:
        yield server
    finally:
        server.kill()
