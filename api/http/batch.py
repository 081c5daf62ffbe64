"""POST /batch_generate: several prompts in one call, each with its own outcome."""

from __future__ import annotations

import asyncio
from typing import Any

import bentoml
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.call import Call
from api.errors import InvalidRequest, problem_of
from api.generation.generator import Generator, Timings
from api.schemas import GenerateRequest, GuidanceScale, Prompt, Seed, Steps
from api.telemetry import metrics
from formats.json_text import write_json
from models.errors import XCubeError

MOST_ITEMS = 1024


class BatchItem(BaseModel):
    """A prompt with parameters of its own; what it leaves out is shared with the others."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    prompt: Prompt
    ddim_steps: Steps | None = None
    guidance_scale: GuidanceScale | None = None
    seed: Seed | None = None
    use_fine: bool | None = None


class BatchRequest(BaseModel):
    """Several shapes to generate: prompts, or objects with a prompt, and parameters that they share."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    prompts: list[Prompt | BatchItem] = Field(
        min_length=1, max_length=MOST_ITEMS, examples=[["a tall chair", "a boat"]]
    )
    ddim_steps: Steps = 100
    guidance_scale: GuidanceScale = 7.5
    seed: Seed | None = Field(default=None, description="for each prompt; null draws one for each")
    use_fine: bool = True

    def requests(self) -> list[GenerateRequest]:
        """One request a prompt."""
        shared = self.model_dump(exclude={"prompts"})
        return [
            GenerateRequest(
                **shared | ({"prompt": item} if isinstance(item, str) else item.model_dump(exclude_none=True))
            )
            for item in self.prompts
        ]


class BatchResults(bentoml.IODescriptor):  # type: ignore[misc]  # BentoML's own package has no types
    """The answer's schema for BentoML's client, which hands items over as they are."""

    results: list[Any]


async def answer_batch(generator: Generator, batch: BatchRequest, call: Call, max_batch: int) -> Response:
    """``{"results": [...]}`` in the order of the prompts.

    An item that succeeds has the four fields of POST /generate, its ``seed`` and its ``warnings``; one that fails has
    ``error``, ``code`` and ``retryable``, and the others go on.
    """
    try:
        generator.check_open()
        if len(batch.prompts) > max_batch:
            raise InvalidRequest(f"prompts has {len(batch.prompts)} items: send at most {max_batch} at a time.")
    except XCubeError as error:
        problem = problem_of(error)
        return Response(problem.body(), problem.status, problem.headers(), "application/json")
    items = await asyncio.gather(*(_item(generator, request, call) for request in batch.requests()))
    return Response(b'{"results":[' + b",".join(items) + b"]}", media_type="application/json")


async def _item(generator: Generator, request: GenerateRequest, call: Call) -> bytes:
    own = call.part()
    try:
        result = await generator.run(request, own, Timings())
        return await asyncio.to_thread(write_json, result, with_seed=True)
    except Exception as error:
        problem = problem_of(error)
        metrics.problem(problem.code)
        return problem.body()
