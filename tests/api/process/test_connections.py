"""A connection that idles, dawdles or stalls is closed in time, and none that waits for the service is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from uvicorn.config import HTTP_PROTOCOLS, LOOP_FACTORIES

from api.call import BODY_SECONDS
from api.process import connections
from api.process.accepting import Loop
from api.process.connections import OPTION, Connection, Limits
from api.process.places import Places
from api.process.probes import ALWAYS_ANSWERED
from api.settings import Settings

SHORT = 0.3
AT_ONCE = 0.2
"""Less than a limit of `SHORT`: what is open after this time was not closed too early."""
LATE = 10.0
"""A busy machine closes later; a connection that is never closed fails the test."""
LONG = 60.0
PAUSE = 2 * SHORT
QUIET = 1.9 * PAUSE
"""Less than an answer of /quiet takes."""
PIECE, PIECES = 1 << 18, 32
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once; /read: reads the body first; /quiet: with two long pauses; /large: with 8 MB."""
    path = scope["path"]
    if path == "/read":
        while (message := await receive()).get("more_body", False):
            pass
        if message["type"] == "http.disconnect":
            return
    if path == "/quiet":
        await asyncio.sleep(PAUSE)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", path.encode())]})
    for _ in range({"/quiet": 1, "/large": PIECES}.get(path, 0)):
        await send({"type": "http.response.body", "body": b"." * (PIECE if path == "/large" else 1), "more_body": True})
        await asyncio.sleep(PAUSE if path == "/quiet" else 0)
    await send({"type": "http.response.body", "body": b"end"})


@dataclass
class Served:
    """A uvicorn that serves `app`."""

    port: int
    server: uvicorn.Server

    def connect(self, sent: bytes = b"", window: int | None = None) -> socket.socket:
        connection = socket.socket()
        if window is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.settimeout(LATE)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(sent)
        return connection

    def wait_for_connections(self, number: int) -> None:
        """Waits until the server knows this many."""
        end = time.monotonic() + LATE
        while (known := len(self.server.server_state.connections)) != number:
            assert time.monotonic() < end, f"{known} connections instead of {number}"
            time.sleep(0.01)


@contextlib.contextmanager
def served(places: Places | None = None, **limits: float | None) -> Iterator[Served]:
    """A server whose connections have these limits; those that are not named are long, and uvicorn's own is none."""
    every = dict.fromkeys(("keep_alive", "header", "body", "stalled"), LONG) | limits
    protocol = type("Limited", (Connection,), {"limits": Limits(**every), "places": places or Places()})
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_level="error", timeout_keep_alive=0)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Served(listener.getsockname()[1], server)
        finally:
            server.should_exit = True
            thread.join()


def read_answer(connection: socket.socket) -> bytes:
    """All of one answer."""
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        piece = connection.recv(65536)
        assert piece, "closed before the end of the answer"
        received += piece
    assert received.startswith(b"HTTP/1.1 200 ")
    return received


def seconds_open(connection: socket.socket, since: float, trickle: bytes = b"") -> float:
    """Time from `since` until the server closes; meanwhile `trickle` is sent again and again. Answers are thrown away.

    `since` is read before the bytes go out with which a limit begins: a busy machine then only makes the time longer.
    """
    end = time.monotonic() + LATE
    with connection, contextlib.suppress(ConnectionError):
        while time.monotonic() < end:
            if select.select([connection], [], [], 0.05)[0]:
                if not connection.recv(65536):
                    break
            elif trickle:
                connection.sendall(trickle)
        else:
            raise AssertionError(f"still open after {LATE} s")
    return time.monotonic() - since


def least_open(server: Served, *heads: bytes) -> float:
    """The least `seconds_open` of connections that begin with these bytes, with and without more that trickles in."""
    since = time.monotonic()
    opened = [(server.connect(head), byte) for head in heads for byte in (b"", b"x")]
    with ThreadPoolExecutor(len(opened)) as pool:
        return min(pool.map(lambda each: seconds_open(each[0], since, each[1]), opened))


# Headers


def test_a_connection_whose_first_header_does_not_come_is_closed_whatever_trickles() -> None:
    with served(header=SHORT) as server:
        assert least_open(server, b"", GET[:9], GET[:-2] + b"X: ") > AT_ONCE


def test_a_later_header_has_its_time_from_its_first_byte() -> None:
    with served(header=SHORT) as server:
        connection = server.connect(GET)
        read_answer(connection)
        time.sleep(PAUSE)  # idle, which is another limit
        connection.sendall(GET)
        read_answer(connection)
        since = time.monotonic()
        connection.sendall(b"GET /")
        assert seconds_open(connection, since, trickle=b"x") > AT_ONCE


def test_a_header_that_was_begun_during_an_answer_has_its_time_from_the_end_of_that() -> None:
    with served(header=SHORT) as server:
        since = time.monotonic()
        connection = server.connect(GET.replace(b"/ ", b"/quiet ", 1) + GET[:9])
        read_answer(connection)
        assert seconds_open(connection, since) > QUIET + AT_ONCE


# Idle connections


def test_an_idle_connection_is_closed_after_its_time_and_works_until_then() -> None:
    with served(keep_alive=5 * SHORT) as server:
        connection = server.connect(GET)
        read_answer(connection)
        time.sleep(PAUSE)
        since = time.monotonic()
        connection.sendall(GET)
        read_answer(connection)
        assert seconds_open(connection, since) > 5 * AT_ONCE


def test_a_connection_that_is_idle_after_a_late_body_is_closed_too() -> None:
    with served(keep_alive=SHORT) as server:
        connection = server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        read_answer(connection)
        connection.sendall(b"x")
        time.sleep(0.1)
        since = time.monotonic()
        connection.sendall(b"x")
        assert seconds_open(connection, since) > AT_ONCE


def test_without_a_limit_of_ours_the_time_that_uvicorn_was_told_holds() -> None:
    with served(keep_alive=None) as server:
        server.server.config.timeout_keep_alive = 1
        since = time.monotonic()
        connection = server.connect(GET)
        read_answer(connection)
        assert 0.8 < seconds_open(connection, since) < 4, "uvicorn's default is 5 s"


# Bodies


def test_a_body_that_does_not_end_is_given_up_whether_or_not_somebody_reads_it() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
    with served(body=SHORT) as server:
        assert least_open(server, head, head.replace(b"/", b"/read", 1)) > AT_ONCE
        server.wait_for_connections(0)


def test_every_body_has_the_whole_time() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    with served(body=5 * SHORT) as server, server.connect(head) as connection:
        for _ in range(3):  # longer together than the time of one
            read_answer(connection)
            time.sleep(PAUSE)
            connection.sendall(b"xx" + head)  # the next one begins with the end of this one
        read_answer(connection)


# What is no HTTP


def test_what_is_no_http_gets_an_error_like_any_other() -> None:
    with served() as server, server.connect(b"no request\r\n\r\n") as connection:
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in head
    assert json.loads(body)["code"] == "invalid_request"


def test_a_body_that_breaks_after_the_answer_ends_the_connection_without_a_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served() as server:
        connection = server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        read_answer(connection)
        since = time.monotonic()
        connection.sendall(b"no size\r\n")
        assert seconds_open(connection, since) < LATE
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_websocket_is_not_offered_and_its_request_is_one_like_any_other() -> None:
    upgrade = (
        b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    )
    with served() as server, server.connect(GET.removesuffix(b"\r\n\r\n") + upgrade) as connection:
        assert b"x-path: /\r\n" in read_answer(connection)


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_body_whose_length_could_be_read_in_two_ways_is_refused_with_its_connection(head: bytes) -> None:
    with served() as server, server.connect(head + b"0\r\n\r\n" + GET) as connection:
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"http://host/livez", b"/livez"), (b"HTTPS://host:1/a/b?c=d", b"/a/b"), (b"http://host", b"/"),
     (b"http://host?c=d", b"/"), (b"/http://host/x", b"/http://host/x")],
)  # fmt: skip
def test_a_url_in_absolute_form_means_its_path(target: bytes, path: bytes) -> None:
    with served() as server, server.connect(GET.replace(b"/", target, 1)) as connection:
        assert b"x-path: " + path + b"\r\n" in read_answer(connection)


# What must stay open


def test_a_long_wait_for_the_answer_and_long_pauses_in_it_close_nothing() -> None:
    with served(keep_alive=SHORT, header=SHORT, body=SHORT, stalled=SHORT) as server:
        head = b"POST /quiet HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
        with server.connect(head) as connection:
            start = time.monotonic()
            read_answer(connection)
            assert time.monotonic() - start > QUIET


def test_pipelined_requests_are_answered_in_order_on_a_connection_that_stays_open() -> None:
    requests = b"".join(GET.replace(b"/", path, 1) for path in (b"/1", b"/2", b"/3"))
    with served() as server, server.connect() as connection:
        for _ in range(2):
            connection.sendall(requests)
            received = b""
            while received.count(b"0\r\n\r\n") < 3:
                received += connection.recv(65536)
            assert re.findall(rb"x-path: (\S+)", received) == [b"/1", b"/2", b"/3"]


# Answers that nobody reads


def test_an_answer_whose_client_takes_nothing_in_is_given_up() -> None:
    kept = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    closing = kept.replace(b"Host", b"Connection: close\r\nHost")
    start = time.monotonic()
    with served(stalled=PAUSE) as server, server.connect(kept, 4096), server.connect(closing, 4096):
        server.wait_for_connections(2)
        server.wait_for_connections(0)
        assert time.monotonic() - start > SHORT, "given up too early"


def test_a_client_that_reads_slowly_gets_the_whole_answer() -> None:
    head = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with served(keep_alive=SHORT, header=SHORT, body=SHORT, stalled=2 * PAUSE) as server:
        received, start = 0, time.monotonic()
        with server.connect(head, window=65536) as connection:
            while piece := connection.recv(1 << 16):
                received += len(piece)
                time.sleep(0.015)
        assert received > PIECE * PIECES
        assert time.monotonic() - start > 2 * PAUSE


# A crowd


def test_in_a_crowd_probes_are_answered_and_all_else_gets_an_error_and_its_end() -> None:
    opened: list[int] = []
    refused: list[bool] = []
    with served(Places(2, 2, opened.append, refused.append)) as server:
        idle = [server.connect() for _ in range(2)]
        server.wait_for_connections(2)
        for path in (*ALWAYS_ANSWERED, "/v2/models/coarse/ready"):
            with server.connect(GET.replace(b"/", path.encode(), 1)) as connection:
                answer = connection.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer
        with server.connect(GET) as connection:
            head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in head
        assert json.loads(body)["code"] == "too_many_connections"
        assert refused == [True]
        for connection in idle:
            connection.close()
        server.wait_for_connections(0)
        with server.connect(GET) as connection:
            read_answer(connection)
        assert max(opened) == 3
        server.wait_for_connections(0)
        assert opened[-1] == 0


def test_a_probe_has_its_turn_however_many_connections_hold_their_places() -> None:
    refused: list[bool] = []
    with served(Places(4, 3, refused=refused.append)) as server:
        idle = [server.connect() for _ in range(50)]
        with server.connect(GET.replace(b"/", b"/livez", 1)) as connection:
            assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
        assert refused == [False] * (50 - 4 - 3 + 1)
        assert len(server.server.server_state.connections) <= 4 + 3
        for connection in idle:
            connection.close()


# In place of uvicorn's own


def test_the_default_times_are_those_that_are_documented() -> None:
    assert Limits() == Limits(keep_alive=None, header=10, body=60, stalled=60)
    assert Settings().keep_alive_seconds == 75 > 60, "a load balancer's usual 60 s"
    assert Limits().body > BODY_SECONDS, "the gate's own limit has an answer"


@pytest.mark.parametrize(("words", "seconds"), [([], 75), ([OPTION, "7"], None)])
def test_uvicorn_takes_our_protocol_and_bentoml_s_option_wins(
    monkeypatch: pytest.MonkeyPatch, words: list[str], seconds: float | None
) -> None:
    monkeypatch.setattr(sys, "argv", ["service.py", "--fd", "3", *words])
    monkeypatch.setattr(Connection, "limits", Limits())
    monkeypatch.setattr(Connection, "places", Places())
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", "uvicorn.protocols.http.h11_impl:H11Protocol")
    monkeypatch.setitem(LOOP_FACTORIES, "auto", "uvicorn.loops.auto:auto_loop_factory")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    places = Places(5)
    connections.use(75, places)
    config = uvicorn.Config(app)
    config.load()
    assert config.http_protocol_class is Connection
    assert config.get_loop_factory() is Loop
    assert config.forwarded_allow_ips == "", "uvicorn believes no proxy"
    assert Connection.limits == Limits(keep_alive=seconds)
    assert Connection.places is places
