"""Health, probes and metrics answer at once, however much the models have to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.service.conftest import Server, StartServer

CALLS = 200
P99_SECONDS = 0.1
LONGEST_SECONDS = 1.0
ROUNDS = 3
"""What else runs on the machine can only slow an answer down: the best of some rounds counts."""


@pytest.fixture(scope="module")
def busy(start_server: StartServer, tiny_models: Path) -> Iterator[Server]:
    """A service with four generations under way and a full queue, for as long as the tests take."""
    server = start_server(tiny_models, XCUBE_MAX_RUNNING="4", XCUBE_MAX_QUEUE="4")
    server.wait_until("ready")
    done = False

    def client(seed: int) -> None:
        while not done:
            answer = server.generate(ddim_steps=20, seed=seed)
            assert answer.status_code in (200, 429)
            time.sleep(0.2 if answer.status_code == 429 else 0)

    with ThreadPoolExecutor(9) as pool:
        clients = [pool.submit(client, seed) for seed in range(9)]
        while "xcube_requests_waiting 4.0" not in server.get("/metrics").text:
            time.sleep(0.1)
        yield server
        done = True
        for one in clients:
            one.result()
    server.stop()


def seconds_of_calls(client: httpx.Client, path: str) -> list[float]:
    taken = []
    for _ in range(CALLS):
        start = time.perf_counter()
        answer = client.get(path)
        taken.append(time.perf_counter() - start)
        assert answer.status_code == 200
    return taken


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", ["/health", "/livez", "/metrics"])
def test_it_answers_within_100_ms_while_the_queue_is_full(busy: Server, path: str) -> None:
    figures: list[tuple[float, float]] = []
    with httpx.Client(base_url=busy.url, timeout=30) as client:
        for _ in range(ROUNDS):
            taken = seconds_of_calls(client, path)
            figures.append((float(np.percentile(taken, 99)), max(taken)))
            if figures[-1][0] < P99_SECONDS and figures[-1][1] < LONGEST_SECONDS:
                break
        else:
            pytest.fail(f"p99 and longest of each round in s: {figures}")
    print(path, figures)
