"""What a Sampler takes that listens for itself: orders as JSON, each within its bounds.

Without this, BentoML would take forms too, which any web page can make a browser send, and bodies of any length, and
would log a traceback for each that is wrong.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import bentoml
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import Headers
from starlette.responses import Response

from api.call import Call, Message, read_json, replay
from api.errors import InvalidRequest, Problem, problem_of
from api.framework_errors import FrameworkError
from api.messages import MOST_BYTES, MOST_SAMPLES, Finished, Order, Slice, Unfitted
from api.parsing import sentence_of
from api.schemas import NoParameters, PromptRequest

log = logging.getLogger("xcube.orders")
_PICKLED = "application/vnd.bentoml+pickle"
_GUIDE = "/"
"""Where BentoML describes the orders."""


class _Begin(BaseModel):
    order: Order


class _Denoise(BaseModel):
    items: list[Slice] = Field(min_length=1, max_length=MOST_SAMPLES)


class _Fit(BaseModel):
    item: Unfitted


class _Decode(BaseModel):
    item: Finished


@dataclass(frozen=True)
class _Kind:
    """What the body of an order is, and how many bytes it has at most."""

    body: type[BaseModel]
    most_bytes: int = 1 << 16


_STATES_AS_TEXT = MOST_BYTES * 4 // 3 + (1 << 16)
_ORDERS = {
    "/status": _Kind(NoParameters),
    "/recognise": _Kind(PromptRequest),
    "/fit": _Kind(_Fit, _STATES_AS_TEXT),
    "/begin": _Kind(_Begin, _STATES_AS_TEXT),
    "/denoise": _Kind(_Denoise, _STATES_AS_TEXT),
    "/decode": _Kind(_Decode, _STATES_AS_TEXT),
}
WORK = frozenset(_ORDERS) - {"/status"}
"""The paths of orders for which the models are needed."""


class OrderGate:
    """ASGI middleware: refuses what is no order, and gives every error the body of `api.errors`."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Lets an order through, or says what is wrong with it, as ASGI has it."""
        if scope["type"] != "http" or _is_from_own_tree(scope):
            await self.app(scope, receive, send)
            return
        call = Call(Headers(scope=scope).get("x-request-id"))
        answer = _Answer(call, scope, receive, send)
        try:
            kind = _ORDERS.get(scope["path"])
            if kind is not None and scope["method"] == "POST":
                receive = replay(await _checked_body(kind, scope, receive), call)
            await self.app(scope, receive, answer.send)
        except Exception as error:
            if answer.started:
                raise
            problem = problem_of(error)
            if problem.status == 500:
                log.error("a bug in %s (request %s)", scope["path"], call.id, exc_info=error)
            await answer.problem(problem)


class _Answer:
    """The way back: says an error of the framework in our form."""

    def __init__(self, call: Call, scope: Any, receive: Any, send: Any) -> None:
        self._call = call
        self._scope, self._receive, self._send = scope, receive, send
        self._error = FrameworkError()
        self.started = False

    async def send(self, message: Message) -> None:
        if not self._error.takes(message):
            self.started = True
            await self._send(message)
        elif self._error.whole:
            allowed = {name: value for name, value in self._error.headers.items() if name == "allow"}
            body = self._error.problem_body(self._scope["path"], guide=_GUIDE)
            await self._write(body, self._error.status, allowed)

    async def problem(self, problem: Problem) -> None:
        """Answers with a problem."""
        await self._write(problem.body(), problem.status, problem.headers())

    async def _write(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self.started = True
        headers = {"X-Request-ID": self._call.id, **headers}
        await Response(body, status, headers, "application/json")(self._scope, self._receive, self._send)


async def _checked_body(kind: _Kind, scope: Any, receive: Any) -> bytes:
    body = await read_json(Headers(scope=scope), receive, kind.most_bytes)
    try:
        kind.body.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise InvalidRequest(
            f"{sentence_of(error)}: send orders as an HTTP process of the same version sends them."
        ) from None
    return body


def _is_from_own_tree(scope: Any) -> bool:
    """Whether a request is one that an HTTP process sends to a Sampler which it shares a process tree with.

    These are pickled. Where the Sampler is its process's entry service, BentoML refuses them itself.
    """
    entry = bentoml.server_context.service_type == "entry_service"
    return not entry and Headers(scope=scope).get("content-type", "") == _PICKLED


def guard(service: Any) -> None:
    """Puts the gate in front of the Sampler's service."""
    service.add_asgi_middleware(OrderGate)
