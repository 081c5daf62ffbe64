"""What a running service gives many users at once: fairness, parallel requests, probes under load.

Look at the ratios: each time is compared with one that the same service took a moment before.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from cli.load.users import wait_until_ready

ROOT = Path(__file__).resolve().parents[2]
TOGETHER = 8
CALLS = 200
LONG_STEPS = 1000
PATIENCE = 600.0


@dataclass(frozen=True)
class Finding:
    """A measured time, compared with another one.

    Attributes:
        what: What was measured.
        seconds: The time, a median unless `what` says otherwise.
        against: What it is compared with.
        ratio: The one time divided by the other.
        limit: What the ratio should not exceed.
    """

    what: str
    seconds: float
    against: str
    ratio: float
    limit: float


def measure(url: str, steps: int, repetitions: int) -> Iterator[Finding]:
    """Measures the service at `url`, with coarse and fine stage, after a request that warms it up."""
    _generate(url, steps)
    alone = statistics.median(_generate(url, steps) for _ in range(repetitions))
    yield Finding(f"{steps} steps alone", alone, "itself", 1.0, 1.0)
    beside = []
    with _long(url):
        for _ in range(repetitions):
            beside.append(_generate(url, steps))
    yield _against_alone(f"{steps} steps alongside {LONG_STEPS}", beside, alone, 3.0)
    together = [_together(url, steps) for _ in range(repetitions)]
    yield _against_alone(f"{TOGETHER} times {steps} steps at once", together, alone, TOGETHER)
    with contextlib.ExitStack() as load:
        for _ in range(TOGETHER):
            load.enter_context(_long(url))
        for path in ("/health", "/livez", "/metrics"):
            p99 = float(np.percentile(_calls(url + path), 99))
            yield Finding(
                f"{path} with {TOGETHER} of {LONG_STEPS} steps, 99th percentile", p99, "0.1 s", p99 / 0.1, 1.0
            )


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Runs a service with the settings of the environment, but a port of its own and no deadline; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="xcube-bench-") as folder:
        environment = os.environ | {
            "XCUBE_HOST": "127.0.0.1", "XCUBE_PORT": str(port), "XCUBE_API_KEY": "", "XCUBE_JOBS_DIR": f"{folder}/jobs",
            "XCUBE_DEADLINE_SECONDS": "86400", "XCUBE_DRAIN_SECONDS": "5",
        }  # fmt: skip
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.serve"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_it_answers(url, process)
            wait_until_ready(url)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{url}/health", timeout=10, trust_env=False)  # no proxy: it is on this machine
            return
        time.sleep(0.2)


def _request(steps: int) -> dict[str, Any]:
    return {"prompt": "a tall chair", "ddim_steps": steps, "seed": 1}


def _generate(url: str, steps: int) -> float:
    start = time.perf_counter()
    anew = {"Cache-Control": "no-cache"}
    url = f"{url}/generate"
    httpx.post(url, json=_request(steps), headers=anew, timeout=PATIENCE, trust_env=False).raise_for_status()
    return time.perf_counter() - start


def _together(url: str, steps: int) -> float:
    with ThreadPoolExecutor(TOGETHER) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: _generate(url, steps), range(TOGETHER)))
        return time.perf_counter() - start


@contextlib.contextmanager
def _long(url: str) -> Iterator[None]:
    """Runs a long request during the block and disconnects at its end."""
    begun, over = threading.Event(), threading.Event()

    def client() -> None:
        accept = {"Accept": "text/event-stream"}
        with httpx.stream(
            "POST", f"{url}/generate", json=_request(LONG_STEPS), headers=accept, timeout=PATIENCE, trust_env=False
        ) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith('data: {"stage"') and json.loads(line[5:])["step"]:
                    begun.set()
                if over.is_set():
                    return
        raise RuntimeError("the long request ended too soon to be measured against")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client)
        running.add_done_callback(lambda _: begun.set())
        begun.wait()
        try:
            yield
        finally:
            over.set()
            running.result()


def _calls(url: str) -> list[float]:
    seconds = []
    with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
        for _ in range(CALLS):
            start = time.perf_counter()
            client.get(url).raise_for_status()
            seconds.append(time.perf_counter() - start)
    return seconds


def _against_alone(what: str, seconds: list[float], alone: float, limit: float) -> Finding:
    middle = statistics.median(seconds)
    return Finding(what, middle, "alone", middle / alone, limit)
