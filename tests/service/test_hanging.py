"""A test in which a service hangs ends, and tells where it hung."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.figures import wait_for
from tests.support.hanging import ending_within, telling_stacks
from tests.support.service import Server, own_environment, started

ALIVE = """
import os, socket, threading

def hang_in_a_lane(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    while True:
        connection.sendall(b": alive\\n\\n")
        threading.Event().wait(0.01)

with socket.create_server(("127.0.0.1", int(os.environ["XCUBE_PORT"]))) as server:
    print("listening", flush=True)
    while True:
        threading.Thread(target=hang_in_a_lane, args=server.accept()[:1], daemon=True).start()
"""


@pytest.fixture
def alive(tmp_path: Path) -> Iterator[Server]:
    """What sends signs of life, and never an answer."""
    environment = own_environment(tmp_path, **telling_stacks(tmp_path))
    with started([sys.executable, "-c", ALIVE], environment, tmp_path / "log") as server:
        wait_for(lambda: "listening" in server.log.read_text())
        yield server


def test_a_request_that_hangs_fails_and_says_what_every_thread_did(alive: Server, tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as failure, ending_within(1, "POST /generate_stream", alive, tmp_path):
        alive.post("/generate_stream")
    told = str(failure.value)
    assert told.startswith("POST /generate_stream took more than 1 s")
    assert re.search(r"^Process \d+, \d+ s old, ", told, re.MULTILINE)
    assert "in hang_in_a_lane" in told
    assert "in <module>" in told, "the other thread"
    assert "listening" in told.partition("The log:")[2]
    assert alive.process.poll() is not None, "or the next request would hang as well"


def test_a_fault_that_comes_in_time_is_told_as_it_is_and_ends_nothing(alive: Server, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="503"), ending_within(60, "a request", alive, tmp_path):
        raise AssertionError("503")
    assert alive.process.poll() is None
