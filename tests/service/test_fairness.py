"""Many requests of one client and a few of others: everybody is served, and nobody is accepted in vain."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.support.errors import assert_error
from tests.support.figures import running, wait_for, wait_idle, waiting
from tests.support.leaving import sent
from tests.support.paths import DEMO
from tests.support.service import ANEW, Server, StartServer

RUNNING, QUEUE = 2, 4
OTHERS = 4
REQUEST = {"prompt": "a chair", "use_fine": False}


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Server:
    """A service with the demo models, few places and little time, behind a proxy that tells who asks."""
    started = start_server(
        DEMO,
        XCUBE_MODEL="demo",
        XCUBE_MAX_RUNNING=str(RUNNING),
        XCUBE_MAX_QUEUE=str(QUEUE),
        XCUBE_DEADLINE_SECONDS="60",
        XCUBE_TRUSTED_PROXIES="127.0.0.1",
    )
    started.wait_until("ready")
    return started


def ask(server: Server, address: str, steps: int, seed: int = 1, **fields: Any) -> httpx.Response:
    body = {**REQUEST, "ddim_steps": steps, "seed": seed, **fields}
    return server.post("/generate", json=body, headers={**ANEW, "X-Forwarded-For": address})


@contextmanager
def crowd(server: Server, address: str, steps: int) -> Iterator[list[httpx.Response]]:
    """More connections than there are places, whose client sends the next request after each answer."""
    answers: list[httpx.Response] = []
    ended = threading.Event()

    def send(number: int) -> None:
        while not ended.is_set():
            answers.append(ask(server, address, steps, number))
            if answers[-1].status_code == 429:
                ended.wait(0.2)

    count = RUNNING + QUEUE + 2
    with ThreadPoolExecutor(count) as pool:
        sending = [pool.submit(send, number) for number in range(count)]
        try:
            wait_for(lambda: waiting(server) == QUEUE or any(answer.status_code == 429 for answer in answers))
            yield answers
        finally:
            ended.set()
            for each in sending:
                each.result()


def test_who_asks_once_is_served_beside_who_asks_all_the_time(server: Server) -> None:
    with crowd(server, "203.0.113.1", 6) as answers, ThreadPoolExecutor(OTHERS) as pool:
        few = list(pool.map(lambda number: ask(server, f"203.0.113.{number}", 3), range(10, 10 + OTHERS)))
    assert [answer.status_code for answer in few] == [200] * OTHERS
    outcomes = Counter(answer.status_code for answer in answers)
    assert set(outcomes) == {200, 429}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


def test_what_could_not_end_in_time_beside_another_is_refused_at_once_and_not_at_its_deadline(server: Server) -> None:
    # With a fine stage of as many steps, 1000 are too many for any machine that runs tests.
    fine = {"use_fine": True}
    sentence = assert_error(ask(server, "203.0.113.1", 1000, **fine), 400, "too_slow")
    fitting = re.search(r"at most (\d+) steps", sentence)
    assert fitting, sentence
    all_steps = int(fitting[1])
    # Beside a third of the time two thirds never fit, and a step does unless this machine slows down to less than half.
    with sent(server, body={**REQUEST, "ddim_steps": all_steps // 3, **fine}):
        wait_for(lambda: running(server) == 1)
        refused = ask(server, "203.0.113.2", all_steps * 2 // 3, **fine)
        assert "in time" in assert_error(refused, 429, "queue_full")
        assert refused.elapsed.total_seconds() < 5
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert ask(server, "203.0.113.2", 1).status_code == 200, "what is short has time"
    wait_idle(server)
