"""Clients that open connections and then do little or nothing."""

from __future__ import annotations

import contextlib
import select
import socket
import time

BEGUN = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "


def connect(url: str) -> socket.socket:
    """A connection to a service on this host."""
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=60)


def seconds_kept_alive(url: str) -> float:
    """How long a connection without further requests stays open after one, the time of its answer included."""
    with connect(url) as connection:
        start = time.monotonic()
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        while connection.recv(65536):
            pass
        return time.monotonic() - start


def seconds_open(url: str, *, silent: int, trickling: int, longest: float) -> list[float]:
    """How long so many connections stay open, silent ones and ones whose header gets a byte a second.

    Those that are open after the longest time are closed, and count with that.
    """
    with contextlib.ExitStack() as stack:
        opened = {}
        for index in range(silent + trickling):
            start = time.monotonic()
            connection = stack.enter_context(connect(url))
            opened[connection.fileno()] = connection, index >= silent, start
            if index >= silent:
                connection.sendall(BEGUN)
        poll = select.poll()
        for number in opened:
            poll.register(number, select.POLLIN)
        closed = {}
        end = time.monotonic() + longest
        while len(closed) < len(opened) and time.monotonic() < end:
            for number, _ in poll.poll(1000):
                with contextlib.suppress(ConnectionError):
                    assert opened[number][0].recv(65536) == b"", "an answer to nothing"
                closed[number] = time.monotonic() - opened[number][2]
                poll.unregister(number)
            for number, (connection, trickles, _) in opened.items():
                if trickles and number not in closed:
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(b"x")
        return [closed.get(number, longest) for number in opened]
