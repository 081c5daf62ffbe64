"""What RFC 9112 asks of a server beyond what h11 does by itself."""

from __future__ import annotations

import re
from typing import Any

import h11

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE)


class ServerConnection(h11.Connection):
    """h11's connection: takes URLs in absolute form, and no body whose length is told in two ways."""

    def next_event(self) -> Any:
        """The next event, as h11 has it.

        Raises:
            h11.RemoteProtocolError: what came is no HTTP, or could be read in two ways.
        """
        event = super().next_event()
        return _checked(event) if isinstance(event, h11.Request) else event


def _checked(request: h11.Request) -> h11.Request:
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        # A proxy that reads the other of the two sees the rest as a request of its own (section 6.1).
        raise h11.RemoteProtocolError("Transfer-Encoding beside Content-Length, or in HTTP/1.0")
    absolute = _ABSOLUTE.fullmatch(request.target)
    if absolute is None:
        return request
    host, path = absolute[1], absolute[2]
    headers = [(b"host", host), *(pair for pair in request.headers if pair[0] != b"host")]
    target = path if path.startswith(b"/") else b"/" + path
    return h11.Request(method=request.method, target=target, headers=headers, http_version=request.http_version)
