"""How many connections a process has, and how long one may keep it waiting: uvicorn's protocol on h11, with limits.

uvicorn by itself closes a connection only after an answer, and only if not a single byte follows. It has no option for
anything else, and BentoML passes it no protocol: hence `use`, which replaces the one that uvicorn takes by default.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import h11
from uvicorn.config import HTTP_PROTOCOLS, LOOP_FACTORIES
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.errors import InvalidRequest, problem_of
from api.process import accepting
from api.process.crowd import probes_alone
from api.process.http11 import ServerConnection
from api.process.places import Places

_NETWORK = (socket.AF_INET, socket.AF_INET6)
_UVICORN_S_PROXIES = "FORWARDED_ALLOW_IPS"
"""uvicorn believes the proxies in this variable, and without it every process of this machine; we look after them."""
OPTION = "--timeout-keep-alive"
"""BentoML's option, which wins over our setting where it is given."""


@dataclass(frozen=True)
class Limits:
    """Longest times in seconds."""

    keep_alive: float | None = None
    """From one request's end to the first byte of the next one; None: what uvicorn was told."""
    header: float = 10.0
    """For a whole header: from the connection's start, later from its first byte."""
    body: float = 60.0
    """For a whole body, from its header's end, whether or not somebody reads it: it may trickle in after the answer.

    Longer than the gate's own limit (`api.call.BODY_SECONDS`), which has an answer for the client."""
    stalled: float = 60.0
    """For any progress of a client that has something to take in."""


class Phase(Enum):
    """What a connection is expected to bring next."""

    HEADER = "header"
    BODY = "body"
    REQUEST = "another request, or none"


class Connection(H11Protocol):
    """One connection to uvicorn; `limits` and `places` are for all of this class.

    A connection that is late is closed without an answer. A 408 would come before there is a request, and a proxy that
    sends the next request at that moment would take it for the answer to that.
    """

    limits: ClassVar[Limits] = Limits()
    places: ClassVar[Places] = Places()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = ServerConnection(h11.SERVER)
        self._awaited: tuple[Phase | None, object] = (None, None)
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Takes a place and starts the time for the first header."""
        super().connection_made(transport)
        if transport.get_extra_info("socket").family in _NETWORK:  # processes of one service have no need to be counted
            _abort_when_stalled(transport, self.limits.stalled)
            if not self.places.take(self):
                self.app = probes_alone(self.app, self.places.refused)
        self._await(Phase.HEADER)

    def data_received(self, data: bytes) -> None:
        """Takes in what came, and sees what has to come next."""
        super().data_received(data)
        self._await(self._phase())

    def on_response_complete(self) -> None:
        """Starts the time for the next request."""
        super().on_response_complete()
        # Any byte ends uvicorn's own timer, also one of a body that is still coming in.
        self._unset_keepalive_if_required()
        self._await(self._phase())

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the place back and stops the clock."""
        super().connection_lost(exc)
        self.places.give_back(self)
        self._await(None)

    @property
    def is_waiting(self) -> bool:
        """Whether no request has come yet."""
        return self.cycle is None

    def leave(self) -> None:
        """Closes the connection without an answer."""
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP with an error like any other. Once an answer has begun there is no place for one."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            problem = problem_of(InvalidRequest("This is not a valid HTTP request: send HTTP/1.1."))
            body = problem.body()
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            response = h11.Response(status_code=problem.status, headers=headers, reason=b"Bad Request")
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _should_upgrade(self) -> bool:
        """Never: there is no WebSocket here, and a request that offers one is a request like any other."""
        return False

    def _phase(self) -> Phase | None:
        """What is awaited of the client; None while the service has its turn, or another protocol the connection."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return None
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.BODY
        if self.conn.our_state is h11.IDLE:
            return Phase.HEADER if self.conn.trailing_data[0] else Phase.REQUEST
        return None

    def _await(self, phase: Phase | None) -> None:
        """Starts the time of a phase when it begins, and lets it run while the phase of this request lasts."""
        if self._awaited == (phase, self.cycle):
            return
        self._awaited = phase, self.cycle
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if phase is not None:
            self._timer = self.loop.call_later(self._seconds(phase), self.transport.close)

    def _seconds(self, phase: Phase) -> float:
        match phase:
            case Phase.HEADER:
                return self.limits.header
            case Phase.BODY:
                return self.limits.body
            case Phase.REQUEST:
                return self.timeout_keep_alive if self.limits.keep_alive is None else self.limits.keep_alive


def use(keep_alive: float, places: Places) -> None:
    """Makes every server that uvicorn starts later in this process take `Connection`.

    Args:
        keep_alive: seconds that a connection may be idle, unless `OPTION` is in this process's command line.
        places: how many connections there may be.
    """
    Connection.limits = Limits(keep_alive=None if OPTION in sys.argv else keep_alive)
    Connection.places = places
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"
    os.environ[_UVICORN_S_PROXIES] = ""
    LOOP_FACTORIES["auto"] = f"{accepting.__name__}:{accepting.loop_factory.__name__}"


def _abort_when_stalled(transport: asyncio.Transport, seconds: float) -> None:
    """Leaves it to the kernel: it alone sees each byte that a client takes in, and looks after closed sockets too.

    Linux can do that; on other systems a client that takes in nothing is waited for.
    """
    connection = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        connection.setsockopt(socket.IPPROTO_TCP, option, int(1000 * seconds))
