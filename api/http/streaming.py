"""A generation as server-sent events: `queued`, `progress`, `coarse`, `warning`, then `completed` or `failed`.

https://html.spec.whatwg.org/multipage/server-sent-events.html; every event's data is one JSON object. A long one has
several `data:` lines, which readers join with line breaks: many readers of lines refuse those of 64 KB and more.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace

import orjson

from api.call import Call
from api.errors import InvalidRequest, problem_of
from api.generation.events import CoarseMade, Event, Previewed, Queued, Stepped
from api.generation.generator import Generator
from api.generation.timings import Timings
from api.http.accept import prefers
from api.http.packed_events import packed_coarse, packed_end, size_of
from api.http.previews import Previews
from api.http.stream_options import StreamOptions
from api.schemas import GenerateRequest
from api.telemetry import metrics
from formats import FORMATS, Options, file_of
from formats.json_text import write_coarse_json, write_json
from models.errors import XCubeError
from models.kinds import nearest_in
from models.shape import Shape, Voxels
from models.version import service_version

EVENTS = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""They keep proxies from collecting events before they pass them on."""
LONGEST_LINE = 32 * 1024
"""Bytes of a line with its field's name, without the line break."""
_DATA = b"data: "
HEARTBEAT_SECONDS = 10.0
_COARSE = replace(FORMATS[0], write=lambda shape, _: write_coarse_json(shape.coarse, shape.seed))
_NPZ = next(format_ for format_ in FORMATS if format_.name == "npz")
_PART = 24 * 1024
"""Characters of one text of a long file, so that lines end between texts."""
HEARTBEAT = b": alive\n\n"
Told = tuple[str, bytes]
"""Name and data of an event."""


class EventStream:
    """Runs one generation and tells what happens in it; leaving the iteration stops the work."""

    def __init__(
        self,
        generator: Generator,
        request: GenerateRequest,
        call: Call,
        options: Options | None = None,
        wanted: StreamOptions | None = None,
    ) -> None:
        self._call = call
        self._generator = generator
        self._options = options or Options()
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._wanted = wanted or StreamOptions()
        if self._wanted.packed and self._options.given():
            raise InvalidRequest("shape=packed takes no options of files: leave out these, or it.")
        self._previews = Previews(generator, self._wanted.previews, self._report) if self._wanted.previews else None
        self._work = asyncio.create_task(self._result(request))
        self._work.add_done_callback(lambda _: self._news.set())

    async def refusal(self) -> XCubeError | None:
        """Waits for the first event. Gives the error if there is none, because the generation was refused."""
        await self._news.wait()
        if self._events or not self._work.done():
            return None
        error = self._work.exception()
        return error if isinstance(error, XCubeError) else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self.told()) as events:
            async for event in events:
                yield HEARTBEAT if event is None else event_text(*event)

    async def told(self) -> AsyncGenerator[Told | None, None]:
        """Name and data of each event; None where nothing has happened for a while."""
        try:
            while True:
                try:
                    await asyncio.wait_for(self._news.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield None
                    continue
                self._news.clear()
                while self._events:
                    yield await self._encode(self._events.popleft())
                if self._work.done():
                    for event in await self._last():
                        yield event
                    return
        finally:
            if self._previews is not None:
                self._previews.stop()
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _result(self, request: GenerateRequest) -> Shape:
        known = await self._generator.known(request, self._call) if self._wanted.recent else None
        if known is None:
            return await self._generator.run(request, self._call, Timings(), self._report)
        self._call.headers["X-Seed"] = str(known.seed)
        self._report(CoarseMade(known.coarse.to_bytes(), None))
        return known

    def _report(self, event: Event) -> None:
        if self._previews is not None and isinstance(event, Stepped):
            self._previews.follow(event.progress)
        # For a client that reads slowly only the latest of its kind is kept.
        if self._events and type(self._events[-1]) is type(event):
            self._events.pop()
        self._events.append(event)
        self._news.set()

    async def _last(self) -> list[Told]:
        try:
            result = await self._work
            packed = self._wanted.packed
            body = await (asyncio.to_thread(packed_end, result) if packed else self._body(result))
        except Exception as error:
            problem = problem_of(error)
            metrics.problem(problem.code)
            return [("failed", problem.body())]
        # Headers have left long ago, and `completed` has the body of POST /generate, which has no place for them.
        told = {"warnings": result.warnings, "nearest_kinds": nearest_in(result.warnings)}
        warning = [("warning", orjson.dumps(told))] if result.warnings else []
        sending = [("sending", size_of(body))] if packed else []
        return [*warning, *sending, ("completed", body)]

    async def _body(self, result: Shape) -> bytes:
        if self._wanted.shape == _NPZ.name:
            file = await self._generator.write(_NPZ, result, self._call, self._options)
            return await asyncio.to_thread(_npz_text, file.content)
        if self._options.given():
            return (await self._generator.write(FORMATS[0], result, self._call, self._options)).content
        return await asyncio.to_thread(write_json, result)

    async def _encode(self, event: Event) -> Told:
        match event:
            case Queued():
                return "queued", orjson.dumps({"position": event.position})
            case Stepped():
                left = None if event.seconds_left is None else round(event.seconds_left, 3)
                values = {"stage": event.progress.stage, "step": event.progress.step, "steps": event.progress.steps}
                return "progress", orjson.dumps({**values, "seconds_left": left})
            case CoarseMade():
                return "coarse", await asyncio.to_thread(self._coarse, event.voxels)
            case Previewed():
                return "preview", await asyncio.to_thread(self._coarse, event.voxels)

    def _coarse(self, saved: bytes) -> bytes:
        shape = Shape(Voxels.from_bytes(saved), None, int(self._call.headers["X-Seed"]))
        if self._wanted.packed:
            return packed_coarse(shape.coarse, shape.seed)
        # A size is that of the finest stage, which is still to come.
        options = replace(self._options, size=None)
        if self._wanted.shape == _NPZ.name:
            told = _npz_text(file_of(_NPZ, shape, service_version(), options).content)
            return told[:-1] + b',"seed":%d,"seed_text":"%d"}' % (shape.seed, shape.seed)
        return file_of(_COARSE, shape, service_version(), options).content


def wants_events(call: Call) -> bool:
    """Whether a client asked for events rather than for a result."""
    return call.format is None and prefers(call.accept, EVENTS, (format_.media_type for format_ in FORMATS))


def event_text(name: str, data: bytes, id_: str | None = None) -> bytes:
    """One event as it is sent: its id if it has one, its name, and its data, JSON text without a line break."""
    head = [] if id_ is None else [b"id: " + id_.encode()]
    lines = [*head, b"event: " + name.encode(), *(_DATA + line for line in _lines(data))]
    return b"\n".join(lines) + b"\n\n"


def _npz_text(content: bytes) -> bytes:
    """A file as JSON."""
    text = base64.b64encode(content)
    return b'{"npz":["%s"]}' % b'","'.join(text[start : start + _PART] for start in range(0, len(text), _PART))


def _lines(data: bytes) -> Iterator[bytes]:
    """JSON text in lines of limited length. They end between two points or texts, where JSON allows white space.

    Only shapes are so long, and a shape's text has no strings that could hold what looks like two points. No string
    holds what looks like two texts, since quotes in it are escaped.
    """
    longest, start = LONGEST_LINE - len(_DATA), 0
    while len(data) - start > longest:
        gap = max(data.rfind(between, start, start + longest) for between in (b"],[", b'","'))
        if gap < 0:
            break
        yield data[start : gap + 2]
        start = gap + 2
    yield data[start:]
