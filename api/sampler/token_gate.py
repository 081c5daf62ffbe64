"""The shared secret of the HTTP tier and of Samplers that run elsewhere, as a Sampler checks it."""

from __future__ import annotations

import hmac
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from api.errors import Unauthorized, problem_of
from api.messages import authorization
from api.process import deployment
from api.process.probes import PROBES
from api.settings import Settings
from api.telemetry.bentoml_internals import default_host

_problem = problem_of(
    Unauthorized("This Sampler needs a token: set XCUBE_SAMPLER_TOKEN to the same value in both tiers.")
)
_REFUSAL = Response(_problem.body(), _problem.status, _problem.headers(), "application/json")


class TokenGate:
    """ASGI middleware: a request without the token gets 401 before its body is read; probes and metrics are open."""

    def __init__(self, app: Any, token: str) -> None:
        self.app = app
        self._expected = authorization(token).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Lets a request through, or refuses it, as ASGI has it."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            given = Headers(scope=scope).get("authorization", "").encode()
            if not hmac.compare_digest(given, self._expected):
                await _REFUSAL(scope, receive, send)
                return
        await self.app(scope, receive, send)


def guard(service: Any, settings: Settings) -> None:
    """Puts the gate in front of the Sampler's service; without a token, its start asks for a loopback address."""
    deployment.follow(service, lambda: check_address(settings))
    if settings.sampler_token is not None:
        service.add_asgi_middleware(TokenGate, token=settings.sampler_token.get_secret_value())


def check_address(settings: Settings) -> None:
    """Lets a Sampler listen for itself where there is a token, or where only this machine reaches it.

    Raises:
        SystemExit: Others reach its address, and there is no token; one sentence for standard error.
    """
    address = deployment.host(default_host)
    if settings.sampler_token is None and not deployment.is_loopback(address):
        raise SystemExit(
            f"xcube: a Sampler at {address} would work for everybody who reaches it: "
            "set XCUBE_SAMPLER_TOKEN to the same value in both tiers, or serve it with --host 127.0.0.1."
        )
