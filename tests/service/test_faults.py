"""What goes wrong while the service runs: models' processes that die, clients that leave, full queues, deadlines."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.service.conftest import Server, StartServer
from tests.service.test_contract import assert_error


@pytest.fixture(scope="module")
def narrow(start_server: StartServer, tiny_models: Any) -> Server:
    """A service that runs two generations at a time and lets one wait."""
    running = start_server(tiny_models, XCUBE_MAX_RUNNING="2", XCUBE_MAX_QUEUE="1")
    running.wait_until("ready")
    return running


def wait_idle(server: Server) -> None:
    """Waits until no Sampler computes any more."""
    sampler = server.samplers()[0]
    sampler.cpu_percent()
    while True:
        time.sleep(0.5)
        if sampler.cpu_percent() < 20:
            return


def test_a_full_queue_is_429_with_a_time_to_come_back_and_health_still_answers(narrow: Server) -> None:
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(narrow.generate, seed=seed, ddim_steps=40) for seed in range(3)]
        time.sleep(1)
        start = time.monotonic()
        refused = narrow.generate()
        assert time.monotonic() - start < 1
        assert_error(refused, 429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        slowest = 0.0
        for _ in range(20):
            start = time.monotonic()
            assert narrow.get("/health").json()["status"] == "ready"
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < 1
        assert [answer.result().status_code for answer in running] == [200] * 3


def test_work_stops_when_its_client_leaves(narrow: Server) -> None:
    body = b'{"prompt": "x", "ddim_steps": 300, "use_fine": false}'
    with socket.create_connection(("127.0.0.1", int(narrow.url.rpartition(":")[2]))) as connection:
        head = f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        time.sleep(1)
    start = time.monotonic()
    assert narrow.generate(ddim_steps=1, use_fine=False).status_code == 200
    wait_idle(narrow)
    assert time.monotonic() - start < 3
    assert "Traceback" not in narrow.log.read_text()


def test_sigterm_lets_a_running_request_end_and_exits_with_zero(narrow: Server) -> None:
    answers: list[httpx.Response] = []
    request = threading.Thread(target=lambda: answers.append(narrow.generate(ddim_steps=150)))
    request.start()
    time.sleep(1)
    assert narrow.stop() == 0
    request.join(10)
    assert [answer.status_code for answer in answers] == [200]


@pytest.fixture(scope="module")
def wide(start_server: StartServer, tiny_models: Any) -> Server:
    """Two processes that speak HTTP and two that hold models."""
    running = start_server(tiny_models, XCUBE_WORKERS="2", XCUBE_GPUS="2")
    running.wait_until("ready")
    return running


def test_samplers_killed_in_the_middle_of_eight_generations_cost_none_and_change_no_bit(wide: Server) -> None:
    requests = [{"seed": seed, "ddim_steps": 30, "prompt": f"chair {seed}"} for seed in range(8)]
    undisturbed = [wide.generate(**request).content for request in requests]
    assert len(wide.samplers()) == 2
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda request: wide.generate(**request), requests)
        time.sleep(1.5)
        for sampler in wide.samplers():
            sampler.kill()
        disturbed = list(answers)
    assert [answer.status_code for answer in disturbed] == [200] * 8
    assert [answer.content for answer in disturbed] == undisturbed
    wide.wait_until("ready")


def test_a_short_request_beside_a_long_one_takes_at_most_three_times_its_time(
    start_server: StartServer, tiny_models: Any
) -> None:
    fair = start_server(tiny_models)
    fair.wait_until("ready")

    def seconds() -> float:
        start = time.monotonic()
        assert fair.generate(ddim_steps=20, use_fine=False).status_code == 200
        return time.monotonic() - start

    seconds()
    alone = min(seconds() for _ in range(3))
    long = {"prompt": "x", "ddim_steps": 1000, "use_fine": False}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(fair.post, "/generate", json=long)
        time.sleep(0.5)
        beside = []
        while not running.done() and len(beside) < 3:
            beside.append(seconds())
        assert beside, "the long request ended too soon to be measured against"
        assert min(beside) <= 3 * alone + 0.2, (alone, beside)
        running.result()
