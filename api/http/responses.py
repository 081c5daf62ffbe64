"""From a generation to an HTTP answer, and the shape in which BentoML's Python client hands it over."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Protocol
from urllib.parse import quote

import bentoml
import numpy as np
from bentoml.validators import DType
from pydantic import WithJsonSchema
from starlette.responses import Response, StreamingResponse

from api.call import Call
from api.errors import problem_of
from api.generation.generator import Generator
from api.generation.timings import Timings
from api.http.etags import etag, has, not_modified
from api.http.negotiation import options_for_events, wanted
from api.http.stream_options import StreamOptions
from api.http.streaming import EVENTS, HEADERS, EventStream, wants_events
from api.schemas import GenerateRequest
from api.telemetry import metrics
from formats import FORMATS, File, Format, Options
from formats.about import About, file_name
from models.errors import XCubeError
from models.kinds import nearest_in
from models.shape import Shape
from models.version import service_version

_LONGEST_FACT = 2048
"""Characters of a header; proxies refuse answers with longer ones."""
_PLAIN = "".join(letter for letter in map(chr, range(0x20, 0x7F)) if letter != "%")
_POINTS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
# Spelled out, because BentoML reads the annotation itself and knows `np.ndarray` alone: from numpy 2.5 on, `NDArray` is
# a lazy alias (PEP 695) on Python 3.12 and newer, which hides what it stands for.
Array = Annotated[np.ndarray[tuple[Any, ...], np.dtype[np.float32]], DType("float32")]
# BentoML's client reads the first type of a union. As "array or null" a null would come as NaN, and lists would be
# walked number by number; as "null or array" None and lists come as they are.
ListsOrNone = Annotated[list[list[float]] | None, WithJsonSchema({"anyOf": [{"type": "null"}, _POINTS]})]


class GeneratedArrays(bentoml.IODescriptor):  # type: ignore[misc]  # BentoML's own package has no types
    """The answer's schema for BentoML's client: coarse arrays as numpy float32 [N, 3], fine ones as lists or None."""

    coarse_xyz: Array
    coarse_normal: Array
    fine_xyz: ListsOrNone
    fine_normal: ListsOrNone


class Events(Protocol):
    """The events of one or more generations; leaving the iteration stops the work."""

    async def refusal(self) -> XCubeError | None:
        """Waits for the first event. Gives an error if there is none, because the work was refused."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


async def answer(generator: Generator, request: GenerateRequest, call: Call) -> Response:
    """The answer to POST /generate, errors included: BentoML would mask or log those that are raised."""
    try:
        if wants_events(call):
            return await _events(generator, request, call)
        return await _file(generator, request, call, *wanted(call))
    except XCubeError as error:
        problem = problem_of(error)
        return Response(problem.body(), problem.status, problem.headers(), "application/json")


async def _events(generator: Generator, request: GenerateRequest, call: Call) -> Response:
    return await as_stream(_stream(generator, request, call), call)


def stream(generator: Generator, request: GenerateRequest, call: Call) -> AsyncGenerator[str, None]:
    """The answer to POST /generate_stream."""
    return as_texts(lambda: _stream(generator, request, call), call)


def _stream(generator: Generator, request: GenerateRequest, call: Call) -> EventStream:
    return EventStream(generator, request, call, options_for_events(call), StreamOptions.of(call.query))


async def as_stream(events: Events, call: Call) -> Response:
    """The answer with these events. Raises the error where they were refused."""
    if error := await events.refusal():
        raise error
    call.headers |= HEADERS
    return StreamingResponse(events, media_type=EVENTS)


async def as_texts(begin: Callable[[], Events], call: Call) -> AsyncGenerator[str, None]:
    """The events that begin now, for BentoML, which has begun its answer by then: the gate tells what was refused."""
    try:
        events = begin()
        call.refused = await events.refusal()
    except XCubeError as error:
        call.refused = error
    if call.refused is None:
        call.headers |= HEADERS
        async for event in events:
            yield event.decode()


async def _file(
    generator: Generator, request: GenerateRequest, call: Call, format_: Format, options: Options
) -> Response:
    timings, bits = Timings(), generator.status().bits
    if (kept := unchanged(bits, request, call, format_, options)) is not None:
        return kept
    result = await generator.known(request, call)
    if result is None:
        result = await generator.run(request, call, timings)
        bits = call.made_by
    call.headers["X-Seed"] = str(result.seed)
    with timings.measure("write"), metrics.part("serialize"):
        file = await generator.write(format_, result, call, options)
    call.headers["Server-Timing"] = timings.header()
    call.headers.update(notes(result.warnings))
    tag = etag(bits, request.model_copy(update={"seed": result.seed}), format_, options)
    return as_file(file, format_, options, result, tag)


def unchanged(bits: str, request: GenerateRequest, call: Call, format_: Format, options: Options) -> Response | None:
    """The answer to a client that has kept this one; None if it has not, or wants it made anew."""
    tag = etag(bits, request, format_, options)
    if tag is None or request.seed is None or not has(call.known, tag) or call.anew:
        return None
    return not_modified(tag, request.seed, for_caches(format_, options))


def as_file(file: File, format_: Format, options: Options, result: Shape, tag: str | None) -> Response:
    """A response with a result in some format: JSON as it is, anything else under a file's name, with its ETag."""
    headers = for_caches(format_, options) | {f"X-XCube-{fact}": text for fact, text in file.facts.items()}
    if tag is not None:
        headers["ETag"] = tag
    suffix, media_type = (".zip", "application/zip") if options.levels > 1 else (format_.suffix, format_.media_type)
    about = About(service_version(), result.seed, result.prompt, result.finest.voxel_size, result.models)
    told = {name: quote(text, safe=":,") for name, text in about.facts().items() if name != "seed"}
    headers |= {f"X-XCube-{name.title()}": text for name, text in told.items() if len(text) <= _LONGEST_FACT}
    if _is_file(format_, options):
        name = file_name(result.prompt, result.seed, format_.name, suffix)
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(file.content, headers=headers, media_type=media_type)


def notes(warnings: Sequence[str]) -> dict[str, str]:
    """The headers that tell a result's warnings."""
    told = {"X-XCube-Warning": for_header("; ".join(warnings))} if warnings else {}
    return told | nearest_kinds(warnings)


def nearest_kinds(warnings: Sequence[str]) -> dict[str, str]:
    """The header that names the kinds nearest to a prompt, where a result's warnings do."""
    nearest = nearest_in(warnings)
    return {"X-XCube-Nearest-Kinds": for_header(", ".join(nearest))} if nearest else {}


def for_header(text: str) -> str:
    """A text as a header may hold it: what is not ASCII, as a kind may be, is percent-encoded, and so is %."""
    return quote(text, safe=_PLAIN)


def for_caches(format_: Format, options: Options) -> dict[str, str]:
    """What an answer tells caches: a file may be kept by the client, which asks whether it is still the one."""
    return {"Vary": "Accept", "Cache-Control": "private, no-cache" if _is_file(format_, options) else "no-store"}


def _is_file(format_: Format, options: Options) -> bool:
    return format_ is not FORMATS[0] or options.levels > 1
