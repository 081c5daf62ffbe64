"""A generation as server-sent events: `queued`, `progress`, `coarse`, `warning`, then `completed` or `failed`.

https://html.spec.whatwg.org/multipage/server-sent-events.html; every event's data is one JSON object on one line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import orjson

from api.call import Call
from api.errors import problem_of
from api.generation.events import CoarseMade, Event, Queued, Stepped
from api.generation.generator import Generator, Timings
from api.schemas import GenerateRequest
from api.telemetry import metrics
from formats.json_text import write_coarse_json, write_json
from models.errors import XCubeError
from models.shape import Voxels

EVENTS = "text/event-stream"
HEARTBEAT_SECONDS = 10.0
HEARTBEAT = b": alive\n\n"


class EventStream:
    """Runs one generation and tells what happens in it; leaving the iteration stops the work."""

    def __init__(self, generator: Generator, request: GenerateRequest, call: Call) -> None:
        self._call = call
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._work = asyncio.create_task(generator.run(request, call, Timings(), self._report))
        self._work.add_done_callback(lambda _: self._news.set())

    async def refusal(self) -> XCubeError | None:
        """Waits for the first event. Gives the error if there is none, because the generation was refused."""
        await self._news.wait()
        if self._events or not self._work.done():
            return None
        error = self._work.exception()
        return error if isinstance(error, XCubeError) else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                try:
                    await asyncio.wait_for(self._news.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield HEARTBEAT
                    continue
                self._news.clear()
                while self._events:
                    yield await self._encode(self._events.popleft())
                if self._work.done():
                    yield await self._last()
                    return
        finally:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def _report(self, event: Event) -> None:
        # For a client that reads slowly only the latest of its kind is kept.
        if self._events and type(self._events[-1]) is type(event):
            self._events.pop()
        self._events.append(event)
        self._news.set()

    async def _last(self) -> bytes:
        try:
            result = await self._work
            body = await asyncio.to_thread(write_json, result)
        except Exception as error:
            problem = problem_of(error)
            metrics.problem(problem.code)
            return _event("failed", problem.body())
        # Headers have left long ago, and `completed` has the body of POST /generate, which has no place for them.
        warning = _event("warning", orjson.dumps({"warnings": result.warnings})) if result.warnings else b""
        return warning + _event("completed", body)

    async def _encode(self, event: Event) -> bytes:
        match event:
            case Queued():
                return _event("queued", orjson.dumps({"position": event.position}))
            case Stepped():
                left = None if event.seconds_left is None else round(event.seconds_left, 3)
                values = {"stage": event.progress.stage, "step": event.progress.step, "steps": event.progress.steps}
                return _event("progress", orjson.dumps({**values, "seconds_left": left}))
            case CoarseMade():
                seed = int(self._call.headers["X-Seed"])
                return _event(
                    "coarse", await asyncio.to_thread(write_coarse_json, Voxels.from_bytes(event.voxels), seed)
                )


def wants_events(call: Call) -> bool:
    """Whether a client asked for events instead of a result."""
    kinds = [part.partition(";")[0].strip().lower() for part in (call.accept or "").split(",")]
    return call.format is None and EVENTS in kinds


def _event(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
