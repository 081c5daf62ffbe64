"""A process answers probes however many connections come, whatever its limit of open files."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from api.process.descriptors import FEWEST, RESERVED, room_for
from api.process.places import SPARE

LIMIT = 300
BURST = 600
SERVE = f"""
import resource, socket, sys, uvicorn
resource.setrlimit(resource.RLIMIT_NOFILE, (64, {LIMIT}))
from api.process import connections, descriptors
from api.process.places import Places
connections.use(75, Places(descriptors.room_for(4096)))

async def app(scope, receive, send):
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"fine"}})

listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, backlog=2048, lifespan="off")).run([listening])
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A server that may open `LIMIT` files."""
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield int(process.stdout.readline())
        process.terminate()
        log = process.stderr.read()
    assert b"out of system resource" not in log


def test_more_connections_than_files_leave_a_process_that_answers_probes(port: int) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(BURST):  # none waits for the server, which finds them all at once
            connection = crowd.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
        for _ in range(5):
            assert httpx.get(f"http://127.0.0.1:{port}/livez", timeout=5).text == "fine"
        assert httpx.get(f"http://127.0.0.1:{port}/generate").json()["code"] == "too_many_connections"


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """The limit of a process that is only thought of."""
    held = {"files": (256, 1024)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: held["files"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, values: held.update(files=values))
    return held


def test_the_limit_rises_as_far_as_connections_need_it(limit: dict[str, tuple[int, int]]) -> None:
    assert room_for(100) == 100
    assert limit["files"] == (100 + SPARE + RESERVED, 1024)


def test_where_the_limit_cannot_rise_there_are_fewer_connections(limit: dict[str, tuple[int, int]]) -> None:
    assert room_for(4096) == 1024 - SPARE - RESERVED == 800
    assert limit["files"] == (1024, 1024)
    limit["files"] = (64, 64)
    assert room_for(4096) == FEWEST


def test_a_limit_that_is_high_enough_stays_as_it_is(limit: dict[str, tuple[int, int]]) -> None:
    unlimited = resource.RLIM_INFINITY
    for files in ((20_000, 20_000), (unlimited, unlimited)):
        limit["files"] = files
        assert room_for(4096) == 4096
        assert limit["files"] == files
