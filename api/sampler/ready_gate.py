"""A Sampler that still loads its models turns work away, so that another one does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from api.errors import StillLoading, problem_of
from api.sampler.order_gate import WORK

_PROBLEM = problem_of(StillLoading("This Sampler is still loading its models: send the order again."))
_REFUSAL = Response(_PROBLEM.body(), _PROBLEM.status, {**_PROBLEM.headers(), "Connection": "close"}, "application/json")
"""Closes the connection too: on one that stays open the next order would reach the same process."""


class Readiness:
    """Set when the service's class is made, which is after the gate in front of it.

    Attributes:
        loading: Whether the models load.
    """

    loading: Callable[[], bool]


class ReadyGate:
    """ASGI middleware: work gets 503 while the models load; what only asks is answered."""

    def __init__(self, app: Any, readiness: Readiness) -> None:
        self.app = app
        self._readiness = readiness

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Lets a request through, or refuses it, as ASGI has it."""
        if scope["type"] == "http" and scope["path"] in WORK and self._readiness.loading():
            while (await receive()).get("more_body"):  # a client that is still sending would see a fault instead
                pass
            await _REFUSAL(scope, receive, send)
            return
        await self.app(scope, receive, send)


def guard(service: Any) -> Readiness:
    """Puts the gate in front of the Sampler's service; what it returns has to be told when the models load."""
    readiness = Readiness()
    service.add_asgi_middleware(ReadyGate, readiness=readiness)
    return readiness
