"""The shared secret of the HTTP tier and of Samplers that run elsewhere."""

from __future__ import annotations

import hmac
from typing import Any

import orjson
from starlette.datastructures import Headers

OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
"""What a Sampler answers without the token: probes and metrics."""


class TokenGate:
    """ASGI middleware: a request without the token gets 401 before its body is read."""

    def __init__(self, app: Any, token: str) -> None:
        self.app = app
        self._expected = authorization(token).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = Headers(scope=scope).get("authorization", "").encode()
            if not hmac.compare_digest(given, self._expected):
                await _refuse(send)
                return
        await self.app(scope, receive, send)


def authorization(token: str) -> str:
    """The header's value that carries a token."""
    return f"Bearer {token}"


def present(sampler: Any, token: str) -> None:
    """Makes a BentoML proxy of a Sampler send the token with every call."""
    sampler.to_async.default_headers["Authorization"] = authorization(token)


async def _refuse(send: Any) -> None:
    text = "This Sampler needs a token: set XCUBE_SAMPLER_TOKEN to the same value in both tiers."
    body = orjson.dumps({"error": text, "code": "unauthorized", "retryable": False})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 401, "headers": [*headers, (b"www-authenticate", b"Bearer")]})
    await send({"type": "http.response.body", "body": body})
