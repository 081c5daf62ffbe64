"""POST /batch_generate: several prompts in one call, each with its own outcome."""

from __future__ import annotations

import asyncio
from typing import Any

import bentoml
from starlette.responses import Response

from api.call import Call
from api.errors import InvalidRequest, problem_of
from api.generation.generator import Generator
from api.generation.timings import Timings
from api.schemas import BatchRequest, GenerateRequest
from api.telemetry import metrics
from formats.json_text import write_json
from formats.options import RULES
from models.errors import XCubeError


class BatchResults(bentoml.IODescriptor):  # type: ignore[misc]  # BentoML's own package has no types
    """The answer's schema for BentoML's client, which hands items over as they are."""

    results: list[Any]


async def answer_batch(generator: Generator, batch: BatchRequest, call: Call, max_batch: int) -> Response:
    """``{"results": [...]}`` in the order of the prompts, all variants of the first one first.

    An item that succeeds has the four fields of POST /generate, its ``seed`` and its ``warnings``; one that fails has
    ``error``, ``code`` and ``retryable``, and the others go on.
    """
    try:
        await generator.opened()
        if named := [name for name in call.query if name in RULES]:
            raise InvalidRequest(f"{', '.join(named)} in the URL are for single files: leave them out of a batch.")
        if len(batch.prompts) > max_batch:
            raise InvalidRequest(f"prompts has {len(batch.prompts)} items: send at most {max_batch} at a time.")
        requests = batch.requests()
        check_count(len(requests), max_batch)
    except XCubeError as error:
        problem = problem_of(error)
        return Response(problem.body(), problem.status, problem.headers(), "application/json")
    items = await asyncio.gather(*(_item(generator, request, call) for request in requests))
    return Response(b'{"results":[' + b",".join(items) + b"]}", media_type="application/json")


def check_count(shapes: int, most: int) -> None:
    """Lets a call pass that asks for so many shapes. Raises InvalidRequest if these are too many."""
    if shapes > most:
        raise InvalidRequest(f"n asks for {shapes} shapes: ask for at most {most} at a time.")


async def _item(generator: Generator, request: GenerateRequest, call: Call) -> bytes:
    own = call.part()
    try:
        result = await generator.run(request, own, Timings())
        return await asyncio.to_thread(write_json, result, with_seed=True)
    except Exception as error:
        problem = problem_of(error)
        metrics.problem(problem.code)
        return problem.body()
