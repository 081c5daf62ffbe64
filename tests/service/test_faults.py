"""What goes wrong while the service runs: processes that die, full queues, deadlines, the end of the service."""

from __future__ import annotations

import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.support.errors import assert_error
from tests.support.figures import running, steps, wait_for, wait_idle, waiting
from tests.support.leaving import LONG, ONE_STEP_SLICES, sent
from tests.support.service import Server, StartServer


@pytest.fixture(scope="module")
def narrow(start_server: StartServer, tiny_models: Any) -> Server:
    """A service that runs two generations at a time and lets one wait."""
    server = start_server(
        tiny_models, XCUBE_MAX_RUNNING="2", XCUBE_MAX_QUEUE="1", XCUBE_DRAIN_SECONDS="200", **ONE_STEP_SLICES
    )
    server.wait_until("ready")
    return server


def test_a_full_queue_is_429_with_a_time_to_come_back_and_health_still_answers(narrow: Server) -> None:
    with ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(sent(narrow))
        wait_for(lambda: (running(narrow), waiting(narrow)) == (2, 1))
        refused = narrow.generate()
        assert_error(refused, 429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert narrow.get("/health").json()["status"] == "ready"
    wait_idle(narrow)


def test_sigterm_lets_a_running_request_end_refuses_others_and_exits_with_zero(narrow: Server) -> None:
    answers: list[httpx.Response] = []
    fields = {**LONG, "ddim_steps": 500, "use_fine": False}
    request = threading.Thread(target=lambda: answers.append(narrow.generate(**fields)))
    request.start()
    before = steps(narrow)
    wait_for(lambda: running(narrow) == 1 and steps(narrow) > before)
    with httpx.Client(base_url=narrow.url, timeout=30) as client:
        assert client.get("/readyz").status_code == 200
        narrow.process.send_signal(signal.SIGTERM)
        wait_for(lambda: client.get("/readyz").status_code == 503)
        refused = client.post("/generate", json=LONG)
        assert_error(refused, 503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/livez").status_code == 200
    assert not answers, "the request ended before the service was asked to"
    request.join(200)
    assert [answer.status_code for answer in answers] == [200]
    assert narrow.process.wait(60) == 0


@pytest.fixture(scope="module")
def wide(start_server: StartServer, tiny_models: Any) -> Server:
    """Two processes that speak HTTP and two that hold models; at shutdown they have a second to end their work.

    Each of the first has places for all requests, however these are divided between them.
    """
    settings = {"XCUBE_WORKERS": "2", "XCUBE_GPUS": "2", "XCUBE_MAX_RUNNING": "16", "XCUBE_DRAIN_SECONDS": "1"}
    server = start_server(tiny_models, **settings, **ONE_STEP_SLICES)
    server.wait_until("ready")
    return server


def test_a_short_request_ends_long_before_a_long_one_that_came_first(wide: Server) -> None:
    before = steps(wide)
    with sent(wide):
        wait_for(lambda: steps(wide) > before)
        assert wide.generate(ddim_steps=20).status_code == 200
        assert running(wide) == 1
    wait_for(lambda: running(wide) == 0)


def test_while_one_of_two_samplers_starts_the_other_answers_everybody(wide: Server) -> None:
    known = {sampler.pid for sampler in wide.samplers()}
    wide.samplers()[0].kill()
    wait_for(lambda: any(sampler.pid not in known for sampler in wide.samplers()))
    (starting,) = (sampler for sampler in wide.samplers() if sampler.pid not in known)
    starting.suspend()
    try:
        answers = [wide.generate(ddim_steps=1, seed=seed) for seed in range(20)]
        assert [answer.status_code for answer in answers] == [200] * 20
    finally:
        starting.resume()
    wide.wait_until("ready")


def test_samplers_killed_in_the_middle_of_eight_generations_cost_none_and_change_no_bit(wide: Server) -> None:
    requests = [{"seed": seed, "ddim_steps": 50, "prompt": f"chair {seed}", "use_fine": seed < 2} for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        undisturbed = list(pool.map(lambda request: wide.generate(**request), requests))
    assert [answer.status_code for answer in undisturbed] == [200] * 8
    assert len(wide.samplers()) == 2
    before = steps(wide)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(wide.generate, **request) for request in requests]
        wait_for(lambda: running(wide) == 8 and steps(wide) > before)
        for sampler in wide.samplers():
            sampler.kill()
        assert running(wide) == 8, "the generations ended before their Samplers did"
        disturbed = [answer.result() for answer in answers]
    assert [answer.status_code for answer in disturbed] == [200] * 8
    assert [answer.content for answer in disturbed] == [answer.content for answer in undisturbed]
    wide.wait_until("ready")


def test_what_does_not_end_in_the_time_to_drain_is_handed_back(wide: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(wide.generate, **{**LONG, "seed": seed}) for seed in range(8)]
        wait_for(lambda: running(wide) == 8)
        assert wide.stop() == 0
        for answer in answers:
            assert_error(answer.result(), 503, "draining")


def test_who_meets_the_deadline_against_all_estimates_gets_504_and_its_work_stops(
    start_server: StartServer, tiny_models: Any
) -> None:
    hurried = start_server(tiny_models, XCUBE_DEADLINE_SECONDS="3", **ONE_STEP_SLICES)
    hurried.wait_until("ready")
    alone = hurried.generate(**LONG)
    fitting = re.search(r"at most (\d+) steps", alone.text)  # on a machine on which LONG takes more than the deadline
    number = int(fitting[1]) // 2 if fitting else LONG["ddim_steps"]
    (sampler,) = hurried.samplers()
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(hurried.generate, ddim_steps=number)
        wait_for(lambda: running(hurried) == 1)
        sampler.suspend()
        try:
            assert_error(late.result(), 504, "deadline_passed")
        finally:
            sampler.resume()
    hurried.wait_until("ready")
    wait_idle(hurried)
