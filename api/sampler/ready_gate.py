"""A Sampler that still loads its models turns work away, so that another one does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from api.errors import StillLoading, problem_of
from api.process.probes import PROBES
from api.sampler.order_gate import WORK

_PROBLEM = problem_of(StillLoading("This Sampler is still loading its models: send the order again."))
_REFUSAL = Response(_PROBLEM.body(), _PROBLEM.status, _PROBLEM.headers(), "application/json")


class Readiness:
    """Set when the service's class is made, which is after the gate in front of it.

    Attributes:
        loading: Whether the models load.
    """

    loading: Callable[[], bool]


class ReadyGate:
    """ASGI middleware: while the models load, work gets 503, and what only asks is answered.

    Both close their connection. On one that stays open the next order would reach the same process, and who asks
    would hear of no other one.
    """

    def __init__(self, app: Any, readiness: Readiness) -> None:
        self.app = app
        self._readiness = readiness

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Lets a request through, or refuses it, as ASGI has it."""
        if scope["type"] != "http" or scope["path"] in PROBES or not self._readiness.loading():
            await self.app(scope, receive, send)
            return

        async def send_last(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message.setdefault("headers", []))["Connection"] = "close"
            await send(message)

        if scope["path"] in WORK:
            while (await receive()).get("more_body"):  # a client that is still sending would see a fault instead
                pass
            await _REFUSAL(scope, receive, send_last)
        else:
            await self.app(scope, receive, send_last)


def guard(service: Any) -> Readiness:
    """Puts the gate in front of the Sampler's service; what it returns has to be told when the models load."""
    readiness = Readiness()
    service.add_asgi_middleware(ReadyGate, readiness=readiness)
    return readiness
