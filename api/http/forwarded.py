"""What proxies in front say of a request: its client, and the prefix under which they serve the service.

Only proxies that the settings name are believed: anybody else could pass for another client with a header.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urljoin, urlsplit

from starlette.datastructures import Headers
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.http.routes import OTHER, route_of
from api.networks import Network

App = Any
Scope = Any
_PREFIX = re.compile(r"(/[A-Za-z0-9._~!$&'()*+;=:@%-]+)*")
_KEY = "xcube.prefix"
_CLOSED = r"/\ "


class Forwarded:
    """ASGI middleware in front of all others.

    The code behind it sees the client's address instead of the proxy's, and paths without the prefix, whether or not
    the proxy has removed that. `prefix_of` tells the prefix.
    """

    def __init__(self, app: App, prefix: str, proxies: tuple[Network, ...]) -> None:
        self._app = app
        self._prefix = prefix
        self._proxies = proxies
        self._headers = ProxyHeadersMiddleware(_nothing, [str(network) for network in proxies])

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Passes a request on as its client has sent it to the first proxy."""
        if scope["type"] == "http":
            scope = await self._as_sent(scope)
        await self._app(scope, receive, send)

    async def _as_sent(self, scope: Scope) -> Scope:
        peer = scope.get("client")
        address = None if peer is None else _address(peer[0])
        if address is not None:
            scope = {**scope, "client": (str(address), peer[1])}
        prefix = self._prefix
        if address is not None and any(address in network for network in self._proxies):
            told = dict(scope)
            await self._headers(told, None, None)  # type: ignore[arg-type]  # it only looks at the scope
            if (sender := _address(told["client"][0])) is not None:
                scope["client"] = (str(sender), told["client"][1])
            scope["scheme"] = told["scheme"]
            prefix = _forwarded_prefix(Headers(scope=scope)) or prefix
        return {**scope, _KEY: prefix, "path": _without(prefix, scope["path"])}


def prefix_of(scope: Scope) -> str:
    """The prefix under which proxies serve the service, such as `/xcube`; empty where there is none."""
    return str(scope.get(_KEY, ""))


def location(scope: Scope, target: str) -> str:
    """A redirect's target as the client has to see it: a path of this service, under its prefix.

    Args:
        scope: The request's scope.
        target: The header Location. A host in it came from the request's header Host, which a stranger may have chosen.
    """
    parts = urlsplit(target)
    path = "/" + parts.path.lstrip(_CLOSED) if parts.netloc or parts.path.startswith("/") else parts.path
    query = f"?{parts.query}" if parts.query else ""
    prefix = prefix_of(scope)
    if prefix:
        path = prefix + "/" + urljoin(scope["path"], path).lstrip(_CLOSED)
    return path + query


async def _nothing(*_: Any) -> None:
    """An application that leaves every request as it is."""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address; of an IPv4 client that came in over IPv6 the IPv4 one. None for anything else.

    The zone of an address is left out: it may be any text.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _forwarded_prefix(headers: Headers) -> str:
    """The prefixes of all proxies, the outermost first; empty where one is no path."""
    values = ",".join(headers.getlist("x-forwarded-prefix")).split(",")
    prefix = "".join(value.strip().rstrip("/") for value in values)
    return prefix if _PREFIX.fullmatch(prefix) else ""


def _without(prefix: str, path: str) -> str:
    """A path without the prefix, where a proxy has left it there; paths of the service itself stay as they are."""
    if prefix and (path == prefix or path.startswith(f"{prefix}/")) and route_of(path).path == OTHER:
        return path[len(prefix) :] or "/"
    return path
