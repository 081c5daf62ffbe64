"""The page in front of recorded answers: every state of the service, at once and without models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from api.http.negotiation import negotiate
from api.http.packed_events import packed_coarse, packed_end, size_of
from api.http.streaming import event_text
from api.http.web_page import page_or, ui_routes
from formats import Options, file_of
from formats.json_text import write_coarse_json, write_json
from models.shape import Shape, Voxels

SEED = str(2**63 + 1)


class Replay:
    """Answers as the service does. Tests set what it says next."""

    def __init__(self, result: Shape) -> None:
        self.result = result
        self.health: dict[str, Any] = {"status": "ready", "error": None}
        self.models = "official"
        self.locked = False
        """Whether the health is for those with a key only."""
        self.errors: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        """Answers that come before the first good one: status, body, headers."""
        self.streams = True
        self.pause = 0.02
        self.held = False
        """While it is true, a stream stops behind the coarse shape."""
        self.preview: Voxels | None = None
        """What a stream shows before the coarse shape, where previews are asked for."""
        self.early = False
        """While it is true, a stream stops behind that."""
        self.kinds: list[dict[str, Any]] = []
        """What the models know; to a prompt that holds none of the names the first kind is the nearest."""
        self.packed = False
        """Whether the last stream is to have packed shapes."""
        self.packs = True
        """Whether the service knows how to pack."""
        self.forgotten = False
        """Whether variations find no earlier shape, until one is made."""
        self.requests: list[bytes] = []
        self.paths: list[str] = []
        """Where each of them was sent."""
        self.cancelled = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/", page_or(self._index)),
                Route("/health", self._health),
                *(Route(path, self._generate, methods=["POST"]) for path in ("/generate", "/refine", "/variations")),
                Route("/kinds", self._kinds),
                Route("/kinds", self._recognise, methods=["POST"]),
                *ui_routes(),
            ]
        )

    async def _index(self, _: Request) -> Response:
        return JSONResponse({"name": "xcube", "models": self.models})

    async def _health(self, request: Request) -> Response:
        if self.locked and "authorization" not in request.headers:
            return JSONResponse({"error": "Send the API key.", "code": "unauthorized", "retryable": False}, 401)
        return JSONResponse({"model_set": self.models, **self.health})

    async def _kinds(self, _: Request) -> Response:
        return JSONResponse({"kinds": self.kinds})

    async def _recognise(self, request: Request) -> Response:
        prompt = (await request.json())["prompt"]
        known = any(name in prompt for kind in self.kinds for name in kind["names"])
        nearest = [] if known else [self.kinds[0]["name"]]
        return JSONResponse({"known": known, "kinds": [], "nearest_kinds": nearest, "warnings": []})

    async def _generate(self, request: Request) -> Response:
        body = await request.body()
        self.requests.append(body)
        self.paths.append(request.url.path)
        if self.errors:
            status, problem, headers = self.errors.pop(0)
            return JSONResponse(problem, status, headers)
        if self.forgotten and request.url.path == "/variations":
            return JSONResponse({"error": "It is not in memory.", "code": "not_found", "retryable": False}, 404)
        self.forgotten = False
        seed = str(json.loads(body, parse_int=str).get("seed") or SEED)
        headers = {"X-Seed": seed}
        if self.streams and "text/event-stream" in request.headers["accept"]:
            count = json.loads(body).get("n", 1)
            previews = int(request.query_params.get("previews", 0))
            self.packed = self.packs and request.query_params.get("shape") == "packed"
            told = self._events(previews) if count == 1 else self._variants(int(seed), count)
            return StreamingResponse(told, headers=headers, media_type="text/event-stream")
        format_ = negotiate(request.headers.get("accept"), request.query_params.get("format"))
        if self.result.warnings:
            headers["X-XCube-Warning"] = "; ".join(self.result.warnings)
        content = file_of(format_, self.result, "test", Options.of(request.query_params)).content
        return Response(content, headers=headers, media_type=format_.media_type)

    async def _events(self, previews: int) -> AsyncIterator[bytes]:
        try:
            yield event("queued", {"position": 2})
            await asyncio.sleep(self.pause)
            for stage in ("coarse", "fine"):
                for step in (25, 50, 75, 100):
                    left = (100 - step) / 20
                    yield event("progress", {"stage": stage, "step": step, "steps": 100, "seconds_left": left})
                    await asyncio.sleep(self.pause)
                if stage == "coarse" and previews and self.preview is not None:
                    yield event_text("preview", self._coarse(self.preview))
                    while self.early:
                        await asyncio.sleep(self.pause)
                if stage == "coarse":
                    yield event_text("coarse", self._coarse(self.result.coarse))
                    while self.held:
                        await asyncio.sleep(self.pause)
            if self.result.warnings:
                yield event("warning", {"warnings": self.result.warnings})
            if self.packed:
                yield event_text("sending", size_of(packed_end(self.result)))
            yield event_text("completed", packed_end(self.result) if self.packed else write_json(self.result))
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def _coarse(self, voxels: Voxels) -> bytes:
        return packed_coarse(voxels, 0) if self.packed else write_coarse_json(voxels, 0)

    async def _variants(self, seed: int, count: int) -> AsyncIterator[bytes]:
        coarse = self._coarse(self.result.coarse)
        for index in range(count):
            yield event("progress", {"index": index, "stage": "coarse", "step": 50, "steps": 100, "seconds_left": 2})
            yield event_text("coarse", b'{"index":%d,' % index + coarse[1:])
        while self.held:
            await asyncio.sleep(self.pause)
        for index in range(count):
            shape = replace(self.result, seed=seed + index)
            told = packed_end(shape) if self.packed else write_json(shape, with_seed=True)
            yield event_text("variant", b'{"index":%d,' % index + told[1:])
        yield event("completed", {"made": count, "failed": 0})


def event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
