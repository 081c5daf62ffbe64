"""From a generation to an HTTP answer, and the shape in which BentoML's Python client hands it over."""

from __future__ import annotations

import asyncio
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType
from numpy.typing import NDArray
from pydantic import WithJsonSchema
from starlette.responses import Response

from api import metrics
from api.call import Call
from api.errors import problem_of
from api.generation import Generator, Timings
from api.result import write_json
from api.schemas import GenerateRequest
from models.errors import XCubeError

_POINTS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
Array = Annotated[NDArray[np.float32], DType("float32")]
# BentoML's client reads the first type of a union. As "array or null" a null would come as NaN, and lists would be
# walked number by number; as "null or array" None and lists come as they are.
ListsOrNone = Annotated[list[list[float]] | None, WithJsonSchema({"anyOf": [{"type": "null"}, _POINTS]})]


class GeneratedArrays(bentoml.IODescriptor):  # type: ignore[misc]  # BentoML's own package has no types
    """The answer's schema for BentoML's client: coarse arrays as numpy float32 [N, 3], fine ones as lists or None."""

    coarse_xyz: Array
    coarse_normal: Array
    fine_xyz: ListsOrNone
    fine_normal: ListsOrNone


async def answer(generator: Generator, request: GenerateRequest, call: Call) -> Response:
    """The answer to POST /generate, errors included: BentoML would mask or log those that are raised."""
    timings = Timings()
    try:
        result = await generator.run(request, call, timings)
        with timings.measure("write"), metrics.part("serialize"):
            body = await asyncio.to_thread(write_json, result)
    except XCubeError as error:
        problem = problem_of(error)
        return Response(problem.body(), problem.status, problem.headers(), "application/json")
    call.headers["Server-Timing"] = timings.header()
    if result.warnings:
        call.headers["X-XCube-Warning"] = "; ".join(result.warnings)
    return Response(body, media_type="application/json")
