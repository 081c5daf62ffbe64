"""Several generations of one request as one stream of server-sent events.

The events of each are those of a generation alone, with its `index`. When it ends there is a `variant` with what a
batch would tell of it. The last event is `completed`, which counts them, or `failed` where none could be made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import orjson

from api.call import Call
from api.errors import problem_of
from api.generation.generator import Generator
from api.http.stream_options import StreamOptions
from api.http.streaming import HEARTBEAT, HEARTBEAT_SECONDS, EventStream, Told, event_text
from api.schemas import GenerateRequest
from formats import Options
from formats.json_text import with_seed_of, write_json
from models.errors import XCubeError
from models.shape import Shape


class VariantEvents:
    """Runs several generations and tells what happens in them; leaving the iteration stops the work."""

    def __init__(
        self,
        generator: Generator,
        requests: Sequence[GenerateRequest],
        call: Call,
        options: Options,
        wanted: StreamOptions,
    ) -> None:
        self._streams = [_VariantStream(generator, request, call.part(), options, wanted) for request in requests]

    async def refusal(self) -> XCubeError | None:
        """Waits for the first event of each. Gives an error if there is none, because all were refused."""
        refusals = await asyncio.gather(*(stream.refusal() for stream in self._streams))
        return refusals[0] if all(refusals) else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # One at a time: for a client that reads slowly each stream keeps the latest event of a kind alone.
        news: asyncio.Queue[tuple[int, Told]] = asyncio.Queue(maxsize=1)
        tasks = [asyncio.create_task(_pass_on(index, stream, news)) for index, stream in enumerate(self._streams)]
        following = asyncio.create_task(news.get())
        failures: list[bytes] = []
        ended = 0
        try:
            while ended < len(tasks):
                if not (await asyncio.wait({following}, timeout=HEARTBEAT_SECONDS))[0]:
                    yield HEARTBEAT
                    continue
                index, (name, data) = following.result()
                following = asyncio.create_task(news.get())
                ended += name in ("completed", "failed")
                if name == "failed":
                    failures.append(data)
                if name != "warning":  # the variant has its warnings
                    yield event_text("variant" if name in ("completed", "failed") else name, _numbered(index, data))
        finally:
            for task in (*tasks, following):
                task.cancel()
            await asyncio.gather(*tasks, following, return_exceptions=True)
        made = len(tasks) - len(failures)
        counts = orjson.dumps({"made": made, "failed": len(failures)})
        yield event_text("completed", counts) if made else event_text("failed", failures[0])


class _VariantStream(EventStream):
    """The events of one variant, which ends with its shape as a batch has it."""

    async def _body(self, result: Shape) -> bytes:
        if self._options.given() or self._wanted.shape != StreamOptions.shape:
            return with_seed_of(result, await super()._body(result))
        return await asyncio.to_thread(write_json, result, with_seed=True)


async def _pass_on(index: int, stream: EventStream, news: asyncio.Queue[tuple[int, Told]]) -> None:
    try:
        async with aclosing(stream.told()) as events:
            async for event in events:
                if event is not None:
                    await news.put((index, event))
    except Exception as error:
        await news.put((index, ("failed", problem_of(error).body())))


def _numbered(index: int, data: bytes) -> bytes:
    """The data of an event, a JSON object, with the index of its variant first."""
    return b'{"index":%d,' % index + data[1:]
