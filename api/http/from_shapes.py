"""POST /refine: from a coarse shape to a fine one. POST /variations: from a shape to one that resembles it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from api.call import Call
from api.errors import problem_of
from api.generation.generator import Generator
from api.given import RefineRequest, VariationRequest
from api.http.describing import (
    ANEW,
    BODY,
    FORMAT,
    KNOWN,
    NOT_MODIFIED,
    OPTIONS,
    WORK,
    as_events,
    as_files,
    body_for,
    operation,
)
from api.http.given import ShapeReader
from api.http.variants import answer
from api.jobs.service import Jobs
from models.errors import XCubeError


async def answer_given(
    shapes: ShapeReader, generator: Generator, jobs: Jobs, asked: RefineRequest | VariationRequest, call: Call
) -> Response:
    """The answer to a request that comes with a shape, errors included."""
    try:
        request = await shapes.request(asked, generator, jobs)
    except XCubeError as error:
        problem = problem_of(error)
        return Response(problem.body(), problem.status, problem.headers(), "application/json")
    return await answer(generator, request, call)


def described() -> dict[str, Any]:
    """The paths for the OpenAPI document."""
    shape = {
        "description": "the given shape and its fine one, as POST /generate answers, with the same headers",
        "content": {**as_files(), **as_events()},
    }
    refine = operation(
        "refine",
        "Turn a coarse shape and a prompt into a fine shape",
        {200: shape, 304: NOT_MODIFIED},
        BODY | WORK | {404, 406, 409, 410},
        body_for("/refine"),
    )
    varied = {**shape, "description": "the shape, as POST /generate answers, with the same headers"}
    variations = operation(
        "variations",
        "Make a shape that resembles an earlier or a given one, or change a part of that",
        {200: varied, 304: NOT_MODIFIED},
        BODY | WORK | {404, 406, 409, 410},
        body_for("/variations"),
    )
    parameters = [FORMAT, KNOWN, ANEW, *OPTIONS]
    return {
        "/refine": {"post": {**refine, "parameters": parameters}},
        "/variations": {"post": {**variations, "parameters": parameters}},
    }
