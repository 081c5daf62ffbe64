"""Clients that send a request and leave before its answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tests.support.service import Server

LONG = {"prompt": "a chair", "ddim_steps": 1000, "seed": 1}
"""Takes so long on any machine that it is still under way when a test has looked; nobody waits for its end."""
ONE_STEP_SLICES = {"XCUBE_SLICE_SECONDS": "0.0001"}
"""Settings with which every step takes a way between processes, so that no machine is too fast for a test."""


@contextmanager
def part_of_a_body_sent(server: Server, path: str = "/generate") -> Iterator[None]:
    """A request whose client closes its connection at the block's end, in the midst of its body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(_head(path, 50) + b"{")
        yield


@contextmanager
def sent(
    server: Server, path: str = "/generate", body: Mapping[str, Any] = LONG, window: int | None = None
) -> Iterator[socket.socket]:
    """A request whose client reads nothing by itself and closes its connection at the block's end.

    window: bytes that the client's side of the connection takes in.
    """
    content = json.dumps(body).encode()
    with socket.socket() as connection:
        connection.settimeout(120)
        if window is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(_head(path, len(content)) + content)
        try:
            yield connection
        except AssertionError as error:
            connection.setblocking(False)
            with suppress(BlockingIOError):
                error.add_note(f"the service has answered: {connection.recv(2000)!r}")
            raise


def _head(path: str, length: int) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    return head.encode()
