"""One HTTP call as the service sees it: its id, its client's connection, what goes back in headers."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from starlette.datastructures import Headers

from api.clients import ANYBODY, Client
from api.errors import BodyTimeout, BodyTooLarge, ClientGone, UnsupportedMediaType
from models.errors import XCubeError

Receive = Any
Message = MutableMapping[str, Any]
_VALID_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
BODY_SECONDS = 30.0


class Call:
    """What is known about one call; `current()` gives it to the code that answers the call."""

    def __init__(
        self,
        request_id: str | None = None,
        accept: str | None = None,
        format_: str | None = None,
        query: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.id = request_id if request_id and _VALID_ID.fullmatch(request_id) else uuid.uuid4().hex
        self.accept = accept
        """What the header Accept says."""
        self.format = format_
        """What `format=` in the URL says."""
        self.query = query
        """All that the URL says; of what it says twice, the last."""
        self.client: Client = ANYBODY
        """Who makes the call."""
        self.started = time.monotonic()
        self.gone = asyncio.Event()
        """Set when the client has closed its connection."""
        self.known = ""
        """What the header If-None-Match says: tags of answers that the client has."""
        self.anew = False
        """Whether the client wants no answer that was made before."""
        self.made_by = ""
        """`Status.bits` of who made the result, all of it; empty as long as there is none, and if several did."""
        self.headers: dict[str, str] = {}
        """Headers for the answer."""
        self.refused: XCubeError | None = None
        """Why there is an error instead of the stream that the service's framework has begun."""
        self.parameters: dict[str, Any] | None = None
        """What the request's line in the log says about its body."""

    def part(self) -> Call:
        """A call for one of several answers to this one: the same client, headers of its own."""
        part = Call(self.id)
        part.started, part.gone, part.client, part.anew = self.started, self.gone, self.client, self.anew
        return part

    @property
    def seconds(self) -> float:
        """Time since the call came in."""
        return time.monotonic() - self.started


_current: ContextVar[Call] = ContextVar("xcube_call")


def current() -> Call:
    """The call that this task answers; a fresh one when there is no HTTP call, as in a direct use of the service."""
    call = _current.get(None)
    if call is None:
        call = Call()
        _current.set(call)
    return call


def known() -> Call | None:
    """The call that this task answers, or None."""
    return _current.get(None)


def set_current(call: Call) -> None:
    """Makes a call the one that this task answers."""
    _current.set(call)


async def read_body(receive: Receive, limit: int, seconds: float = BODY_SECONDS) -> bytes:
    """The whole body of a request.

    Raises:
        BodyTooLarge: it is longer than `limit` bytes; what follows is not read.
        BodyTimeout: it did not arrive within `seconds`.
        ClientGone: the client hung up before its end.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message: Message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone("The client closed the connection before its request was complete.")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    raise BodyTooLarge(f"The body is longer than {limit} bytes: send a shorter request.")
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise BodyTimeout(f"The body did not arrive within {seconds:g} s: send it at once.") from None


async def read_json(headers: Headers, receive: Receive, limit: int) -> bytes:
    """The body of a request that has to be JSON; a body that is declared as anything else is not read.

    A page that a browser shows cannot send this type to another host without asking that host first.

    Raises:
        UnsupportedMediaType: it is no JSON, in no UTF-8, or compressed.
        BodyTooLarge, BodyTimeout, ClientGone: see `read_body`.
    """
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8"):
        raise UnsupportedMediaType("The body must be JSON in UTF-8: send it with Content-Type: application/json.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body must not be compressed: send it without Content-Encoding.")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length[:20]) > limit:
        raise BodyTooLarge(f"The body is longer than {limit} bytes: send a shorter request.")
    return await read_body(receive, limit)


async def watch_connection(receive: Receive, call: Call) -> None:
    """Waits until the client closes its connection, then says so in the call. Run it once the body is read."""
    while (await receive())["type"] != "http.disconnect":
        pass
    call.gone.set()


def replay(body: bytes, call: Call) -> Receive:
    """A `receive` for the code behind: gives the body that was read, then waits for the end of the connection."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if pending:
            return pending.pop()
        await call.gone.wait()
        return {"type": "http.disconnect"}

    return receive
