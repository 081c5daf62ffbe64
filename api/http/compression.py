"""Long answers in the encoding that the client asks for, compressed in a thread as they are sent."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

from api.call import Message, Receive
from api.http.encodings import Compressor, Wish, wish_of

Scope = Any
Send = Any
App = Any
SHORTEST = 4096
"""Bytes of the shortest body that is worth it."""
COMPRESSIBLE = frozenset(
    {
        "application/json", "application/vnd.xcube.report+json", "application/x-crossworld-bcf",
        "application/x-crossworld-csm", "application/x-nanovdb", "model/gltf-binary", "model/obj", "model/ply",
        "model/stl", "model/vnd.usdz+zip", "model/x-vox", "text/css", "text/html", "text/javascript", "text/plain",
    }
)  # fmt: skip
"""Media types of answers that are not compressed already."""
EVENTS = "text/event-stream"


class Compression:
    """ASGI middleware. Events are never compressed: a compressor would hold them back."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        wish = wish_of(", ".join(headers.getlist("accept-encoding")))
        answer = _Answer(send, wish, ", ".join(headers.getlist("if-none-match")), head=scope["method"] == "HEAD")
        await self.app(scope, receive, answer.send)


class _Answer:
    """The way back of one answer."""

    def __init__(self, send: Send, wish: Wish, known: str, *, head: bool) -> None:
        self._send, self._wish, self._known, self._head = send, wish, known, head
        self._compressor: Compressor | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start(message["status"], MutableHeaders(raw=message["headers"]))
        elif message["type"] == "http.response.body" and self._compressor is not None:
            more = message.get("more_body", False)
            body = b"" if self._head else await asyncio.to_thread(self._compress, message.get("body", b""), more)
            if more and not body:
                return
            message = {**message, "body": body}
        await self._send(message)

    def _start(self, status: int, headers: MutableHeaders) -> None:
        tag = headers.get("etag", "")
        if status == 304 and tag:
            headers.add_vary_header("Accept-Encoding")
            # The client is told of the answer that it has, the compressed one.
            if self._wish.encoding is not None and (f"W/{tag}" in self._known or self._known.strip() == "*"):
                headers["ETag"] = f"W/{tag}"
            return
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        length = headers.get("content-length", "")
        if status != 200 or "content-encoding" in headers or not length.isdigit() or kind == EVENTS:
            return
        if kind in COMPRESSIBLE:
            headers.add_vary_header("Accept-Encoding")
        worth = kind in COMPRESSIBLE and int(length) >= SHORTEST
        if self._wish.encoding is None or not (worth or self._wish.always):
            return
        self._compressor = self._wish.encoding.compressor(int(length))
        headers["Content-Encoding"] = self._wish.encoding.name
        del headers["content-length"]
        if tag and not tag.startswith("W/"):  # the bytes are others than those of the tag, and the shape is the same
            headers["ETag"] = f"W/{tag}"

    def _compress(self, piece: bytes, more: bool) -> bytes:
        assert self._compressor is not None
        return self._compressor.compress(piece) + (b"" if more else self._compressor.flush())
