"""The gate in front of every route, BentoML's own included: limits, strict JSON, ids, and error bodies as objects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.datastructures import Headers, MutableHeaders, QueryParams

from api.call import Call, Message, Receive, current, read_json, replay, set_current, watch_connection
from api.errors import ClientGone, Problem, problem_of
from api.framework_errors import FrameworkError
from api.http import openai_errors
from api.http.accept import accept_of
from api.http.auth import Keys
from api.http.compression import Compression
from api.http.cors import Origins
from api.http.forwarded import Forwarded, location, prefix_of
from api.http.headers import secure, wants_anew
from api.http.routes import body_of, methods_of, route_of, takes_shapes
from api.keys import key_file
from api.networks import networks_of
from api.parsing import parse
from api.settings import Settings
from api.telemetry import logs, metrics
from models.errors import XCubeError

Scope = Any
Send = Any
App = Any
log = logging.getLogger("xcube.http")
PIECE = 256 * 1024
"""Bytes of one piece of a long body: the next piece waits until the client has read enough."""


class Gate:
    """ASGI middleware.

    Bodies that the table of routes describes are read, checked and rewritten before the code behind the gate sees them,
    so that it gets valid ones only: BentoML would ignore unknown fields, take forms, and log a traceback for each bad
    request.
    Every answer with a status of 400 or above gets the body of `api.errors`, whoever made it.
    """

    def __init__(self, app: App, max_body_bytes: int, keys: Keys, max_shape_bytes: int = 0) -> None:
        self.app = app
        self.keys = keys
        self.max_body_bytes = max_body_bytes
        self.max_shape_bytes = max(max_body_bytes, max_shape_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request as ASGI has it: by the code behind the gate, or with what is wrong."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        query = QueryParams(scope["query_string"])
        call = Call(headers.get("x-request-id"), accept_of(headers), query.get("format"), query)
        call.known = ", ".join(headers.getlist("if-none-match"))
        call.anew = wants_anew(headers)
        set_current(call)
        answer = _Answer(send, call, scope)
        watcher: asyncio.Task[None] | None = None
        try:
            address = (scope.get("client") or ("",))[0]
            call.client = self.keys.client(scope["method"], scope["path"], headers, address)
            model = body_of(scope["method"], scope["path"])
            if model is not None:
                limit = self.max_shape_bytes if takes_shapes(scope["path"]) else self.max_body_bytes
                body = await _checked_body(headers, receive, limit, model, f"{prefix_of(scope)}/docs")
                scope = _with_length(scope, len(body))
                call.parameters = logs.parameters(body)
                watcher = asyncio.create_task(watch_connection(receive, call))
                receive = replay(body, call)
            await self.app(scope, receive, answer.send)
        except ClientGone as error:
            call.gone.set()
            if not answer.started:  # nobody gets this, but the framework and a service that ends wait for an answer
                await answer.problem(problem_of(error))
        except Exception as error:
            problem = problem_of(error)
            if problem.status == 500:
                log.error("a bug in %s (request %s)", scope["path"], call.id, exc_info=error)
            if answer.started:
                raise
            await answer.problem(problem)
        finally:
            if watcher is not None:
                watcher.cancel()
            gone = call.gone.is_set() and not answer.complete
            route = route_of(scope["path"])
            if answer.status >= 400 or not route.quiet:
                by_a_page = route.access == "page" and scope["path"].strip("/") != route.path[1:]
                logs.request(scope, call, answer.status, answer.code, by_a_page=by_a_page)
            metrics.ended(route.path, answer.status, answer.code, call.seconds, gone=gone)


class _Answer:
    """The way back: adds the call's headers, and replaces the body of an error that is not in our form yet."""

    def __init__(self, send: Send, call: Call, scope: Scope) -> None:
        self._send = send
        self._call = call
        self._scope = scope
        self._error = FrameworkError()
        self.started = False
        self.complete = False
        self.status = 499
        self.code: str | None = None

    async def send(self, message: Message) -> None:
        if self._call.refused is not None:
            if message["type"] == "http.response.start":
                await self.problem(problem_of(self._call.refused))
            return
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["X-Request-ID"] = self._call.id
            headers.update(self._call.headers)
        if self._error.takes(message):
            if self._error.whole:
                await self._send_error()
            return
        self.started = True
        await self._forward(message)

    async def problem(self, problem: Problem) -> None:
        """Answers with a problem."""
        headers = MutableHeaders(raw=[])
        headers.update({"X-Request-ID": self._call.id, **self._call.headers, **problem.headers()})
        await self._write(problem.status, headers, problem.body())

    async def _send_error(self) -> None:
        path = self._scope["path"]
        if self._error.status == 405:
            self._error.headers["Allow"] = ", ".join(methods_of(path))
        body = self._error.problem_body(path, prefix_of(self._scope))
        await self._write(self._error.status, self._error.headers, body)

    async def _write(self, status: int, headers: MutableHeaders, body: bytes) -> None:
        self.started, self.code = True, orjson.loads(body)["code"]
        body = openai_errors.in_form_of(self._scope["path"], status, body)
        headers["Content-Type"] = "application/json"
        headers["Content-Length"] = str(len(body))
        await self._forward({"type": "http.response.start", "status": status, "headers": headers.raw})
        await self._forward({"type": "http.response.body", "body": body})

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            await self._forward_body(message.get("body", b""), more=message.get("more_body", False))
            return
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            secure(headers)
            if "location" in headers:
                headers["Location"] = location(self._scope, headers["location"])
            self.status = message["status"]
        await self._send(message)

    async def _forward_body(self, body: bytes, *, more: bool) -> None:
        for start in range(0, max(1, len(body)), PIECE):
            if self._call.gone.is_set():
                return
            rest = more or start + PIECE < len(body)
            await self._send({"type": "http.response.body", "body": body[start : start + PIECE], "more_body": rest})
        if not more:
            self.complete = not self._call.gone.is_set()


async def _checked_body(headers: Headers, receive: Receive, limit: int, model: type[BaseModel], guide: str) -> bytes:
    body = await read_json(headers, receive, limit)
    return parse(model, body, guide).model_dump_json().encode()


def passes(check: Callable[[], None]) -> bool:
    """Whether a check raises nothing; what it raises becomes the answer to this call, whatever the framework says."""
    try:
        check()
    except XCubeError as error:
        current().refused = error
        return False
    return True


def _with_length(scope: Scope, length: int) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name not in (b"content-length", b"content-type")]
    headers += [(b"content-length", str(length).encode()), (b"content-type", b"application/json")]
    return {**scope, "headers": headers}


def guard(service: Any, settings: Settings) -> None:
    """Puts the gate in front of the HTTP service, and the answers to browsers' questions about other origins."""
    proxies = networks_of(settings.trusted_proxies)
    service.add_asgi_middleware(Forwarded, prefix=settings.root_path, proxies=proxies)
    if settings.cors_origins:  # first: it answers preflights, which have no key, and adds to errors what browsers need
        service.add_asgi_middleware(Origins, origins=settings.cors_origins)
    service.add_asgi_middleware(Compression)
    file = None if settings.api_keys_file is None else key_file(settings.api_keys_file)
    keys = Keys(settings.api_key, file, everywhere=settings.api_key_everywhere)
    limits = {"max_body_bytes": settings.max_body_bytes, "max_shape_bytes": settings.max_shape_bytes}
    service.add_asgi_middleware(Gate, **limits, keys=keys)
