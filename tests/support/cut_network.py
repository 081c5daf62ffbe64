"""A network that can be cut: a relay of TCP connections, which goes silent when told, and goes on later."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class Relay:
    """Passes on what comes to `port`. While it is cut, nothing comes through and nobody is told so."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._closed = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def cut(self) -> None:
        """From now on nothing comes through."""
        self._open.clear()

    def mend(self) -> None:
        """What was under way arrives late, and all goes on."""
        self._open.set()

    def close(self) -> None:
        """Ends all connections."""
        self._closed = True
        self._open.set()
        _end(self._listener)
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _begin(self, work: Callable[..., None], *values: object) -> None:
        thread = threading.Thread(target=work, args=values, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._begin(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        self._sockets.append(client)
        self._open.wait()
        with client:
            if self._closed:
                return
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
                self._sockets.append(server)
                back = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
                back.start()
                self._pass_on(client, server)
                back.join()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                self._open.wait()
                other.sendall(data)
        self._open.wait()
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _end(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # whoever waits in `accept` is told
    listener.close()


@contextlib.contextmanager
def relay(target: int) -> Iterator[Relay]:
    """A relay to a port of this machine, as long as the block runs."""
    found = Relay(target)
    try:
        yield found
    finally:
        found.close()
