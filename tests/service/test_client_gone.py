"""A client closes its connection: whatever its request is doing, the work stops within a slice, and it is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.support.figures import cancelled, running, slices, steps, value, wait_for, wait_idle, waiting
from tests.support.leaving import LONG, part_of_a_body_sent, sent
from tests.support.saved_models import save_models
from tests.support.service import AT_ONCE, Server, StartServer, command_of

SHORT = {**LONG, "ddim_steps": 1}


@pytest.fixture(scope="module")
def server(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A service that runs one generation at a time, in short slices, and makes shapes that take long to write."""
    checkpoints = tmp_path_factory.mktemp("large")
    save_models(checkpoints, keep=-0.15, keep_fine=9)
    alone = start_server(checkpoints, XCUBE_MAX_RUNNING="1", XCUBE_MAX_QUEUE="2", XCUBE_SLICE_SECONDS="0.05")
    alone.wait_until("ready")
    return alone


@contextmanager
def counted_and_stopped(server: Server) -> Iterator[None]:
    """A block at whose end a client leaves; checks that it is counted, and that at most one slice ends after that."""
    before = cancelled(server)
    yield
    wait_for(lambda: cancelled(server) == before + 1)
    after = slices(server)
    wait_for(lambda: running(server) == waiting(server) == 0)
    assert slices(server) <= after + 1
    wait_idle(server)
    assert cancelled(server) == before + 1
    assert "Traceback" not in server.log.read_text()


def denoised(server: Server, stage: str) -> float:
    return value(server, "xcube_denoise_steps_total", stage=stage)


def done(server: Server, part: str) -> float:
    return value(server, "xcube_stage_duration_seconds_count", stage=part)


def test_while_it_waits_in_the_queue(server: Server) -> None:
    begun, left = done(server, "text"), cancelled(server)
    with sent(server):
        wait_for(lambda: running(server) == 1 and done(server, "text") == begun + 1)
        with sent(server):
            wait_for(lambda: waiting(server) == 1)
        wait_for(lambda: waiting(server) == 0 and cancelled(server) == left + 1)
        before = steps(server)
        wait_for(lambda: steps(server) > before)  # who was first goes on
        assert running(server) == 1
    wait_for(lambda: cancelled(server) == left + 2)
    wait_idle(server)
    assert done(server, "text") == begun + 3, "more began than the one that ran and the two that proved the end"


def test_in_the_coarse_stage(server: Server) -> None:
    coarse, fine = denoised(server, "coarse"), denoised(server, "fine")
    with counted_and_stopped(server), sent(server):
        wait_for(lambda: denoised(server, "coarse") > coarse)
    assert denoised(server, "coarse") < coarse + 1000
    assert denoised(server, "fine") == fine


def test_in_the_fine_stage(server: Server) -> None:
    fine, shapes = denoised(server, "fine"), done(server, "fine_diffusion")
    with counted_and_stopped(server), sent(server, body={**LONG, "ddim_steps": 100}):
        wait_for(lambda: denoised(server, "fine") > fine)
    assert denoised(server, "fine") < fine + 100
    assert done(server, "fine_diffusion") == shapes


def writers(server: Server) -> list[psutil.Process]:
    return [process for process in server.processes() if "-m formats" in " ".join(command_of(process))]


def test_while_its_file_is_made(server: Server) -> None:
    written = done(server, "serialize")
    with counted_and_stopped(server), sent(server, "/generate?format=obj", SHORT):
        wait_for(lambda: writers(server))
    wait_for(lambda: not writers(server))
    assert done(server, "serialize") == written + 2, "more files were made than by the two that proved the end"


def test_while_its_answer_is_sent(server: Server) -> None:
    written = done(server, "serialize")
    with counted_and_stopped(server), sent(server, body=SHORT, window=4096) as connection:
        assert connection.recv(12).startswith(b"HTTP/1.1 200")
        wait_for(lambda: done(server, "serialize") == written + 1)


@pytest.mark.parametrize(
    ("path", "body"), [("/generate_stream", LONG), ("/batch_generate", {"prompts": ["x", "y"], "ddim_steps": 1000})]
)
def test_of_a_stream_or_a_batch(server: Server, path: str, body: dict[str, Any]) -> None:
    before = steps(server)
    with counted_and_stopped(server), sent(server, path, body):
        wait_for(lambda: steps(server) > before)


def test_in_the_midst_of_its_body_and_the_service_can_end_at_once(server: Server) -> None:
    """After all others that use the server."""
    with counted_and_stopped(server), part_of_a_body_sent(server):
        pass
    assert server.stop(within=AT_ONCE) == 0
