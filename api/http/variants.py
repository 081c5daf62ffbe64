"""POST /generate with `n`: several shapes of one prompt in one answer, as JSON like a batch or as a ZIP of files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from api.call import Call
from api.errors import InvalidRequest, problem_of
from api.generation.generator import Generator
from api.generation.timings import Timings
from api.http import responses
from api.http.batch import check_count
from api.http.etags import etag
from api.http.negotiation import options_for_events, wanted
from api.http.responses import as_stream, as_texts, for_caches, for_header, nearest_kinds, unchanged
from api.http.stream_options import StreamOptions
from api.http.streaming import wants_events
from api.http.variant_events import VariantEvents
from api.schemas import GenerateRequest
from api.telemetry import metrics
from formats import FORMATS, Format, Options
from formats.about import file_name
from formats.json_text import with_seed_of, write_json
from formats.zipping import zipped
from models.shape import Shape

SEEDS = "X-Seeds"


@dataclass(frozen=True)
class _Made:
    """A variant as it goes into the answer: its bytes, the shape, and `Status.bits` of who made it."""

    content: bytes
    shape: Shape
    made_by: str


async def answer(generator: Generator, request: GenerateRequest, call: Call) -> Response:
    """The answer to POST /generate for any number of variants, errors included."""
    if request.n == 1:
        return await responses.answer(generator, request, call)
    try:
        if wants_events(call):
            return await as_stream(_stream(generator, request, call), call)
        check_count(request.n, generator.settings.max_batch)
        return await _file(generator, request, call, *wanted(call))
    except Exception as error:
        problem = problem_of(error)
        return Response(problem.body(), problem.status, problem.headers(), "application/json")


def stream(generator: Generator, request: GenerateRequest, call: Call) -> AsyncGenerator[str, None]:
    """The answer to POST /generate_stream for any number of variants."""
    if request.n == 1:
        return responses.stream(generator, request, call)
    return as_texts(lambda: _stream(generator, request, call), call)


def _stream(generator: Generator, request: GenerateRequest, call: Call) -> VariantEvents:
    check_count(request.n, generator.settings.max_batch)
    options, wanted_events = options_for_events(call), StreamOptions.of(call.query)
    return VariantEvents(generator, _variants(request, call), call, options, wanted_events)


async def _file(
    generator: Generator, request: GenerateRequest, call: Call, format_: Format, options: Options
) -> Response:
    if options.levels > 1:
        raise InvalidRequest("levels makes a ZIP of one shape: leave out levels, or n.")
    if (kept := unchanged(generator.status().bits, request, call, format_, options)) is not None:
        return kept
    variants = _variants(request, call)
    made = await asyncio.gather(
        *(_made(generator, variant, call, format_, options) for variant in variants), return_exceptions=True
    )
    whole = [one for one in made if isinstance(one, _Made)]
    if not whole:
        raise next(one for one in made if isinstance(one, BaseException))
    makers = {one.made_by for one in whole}
    seeded = request.model_copy(update={"seed": variants[0].seed})
    tag = etag(makers.pop(), seeded, format_, options) if len(whole) == len(made) and len(makers) == 1 else None
    headers = for_caches(format_, options) | ({} if tag is None else {"ETag": tag})
    if format_ is FORMATS[0]:
        items = [one.content if isinstance(one, _Made) else _failure(one) for one in made]
        return Response(b'{"results":[' + b",".join(items) + b"]}", headers=headers, media_type=format_.media_type)
    names = [file_name(one.prompt, one.seed or 0, format_.name, "") for one in variants]
    if notes := list(_notes(names, made)):
        call.headers["X-XCube-Warning"] = for_header("; ".join(notes))
    call.headers |= nearest_kinds(whole[0].shape.warnings)  # one prompt, so it is the same for all
    files = {file_name(one.shape.prompt, one.shape.seed, format_.name, format_.suffix): one.content for one in whole}
    headers["Content-Disposition"] = f'attachment; filename="{names[0]}-variants.zip"'
    return Response(await asyncio.to_thread(zipped, files), headers=headers, media_type="application/zip")


def _variants(request: GenerateRequest, call: Call) -> list[GenerateRequest]:
    """The requests of a call's variants, whose seeds its headers tell."""
    variants = request.variants()
    call.headers["X-Seed"] = str(variants[0].seed)
    call.headers[SEEDS] = ", ".join(str(variant.seed) for variant in variants)
    return variants


async def _made(generator: Generator, request: GenerateRequest, call: Call, format_: Format, options: Options) -> _Made:
    own, bits = call.part(), generator.status().bits
    result = await generator.known(request, call)
    if result is None:
        result = await generator.run(request, own, Timings())
        bits = own.made_by
    with metrics.part("serialize"):
        if format_ is FORMATS[0] and not options.given():
            return _Made(await asyncio.to_thread(write_json, result, with_seed=True), result, bits)
        content = (await generator.write(format_, result, own, options)).content
    return _Made(with_seed_of(result, content) if format_ is FORMATS[0] else content, result, bits)


def _failure(error: BaseException) -> bytes:
    problem = problem_of(error)
    metrics.problem(problem.code)
    return problem.body()


def _notes(names: Sequence[str], made: Sequence[_Made | BaseException]) -> list[str]:
    """What is worth knowing of each variant, where the answer has no place for it."""
    notes = []
    for name, one in zip(names, made, strict=True):
        if isinstance(one, _Made):
            notes += [f"{name}: {warning}" for warning in one.shape.warnings]
        else:
            problem = problem_of(one)
            metrics.problem(problem.code)
            notes.append(f"{name} was not made: {problem.error}")
    return notes
