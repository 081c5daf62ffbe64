"""The two services and what each is wired from: XCube, the HTTP process, and Sampler, which holds the models."""

# mypy: disallow-untyped-decorators=False
from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from starlette.responses import Response

from api import call as calls
from api import lifecycle
from api.generation import discovery
from api.generation.generator import Generator
from api.generation.monitor import Monitor
from api.generation.sampler_client import SamplerClient
from api.generation.startup import StartUp
from api.given import RefineRequest, VariationRequest
from api.http import gate
from api.http.batch import BatchResults, answer_batch
from api.http.endpoints import Endpoints
from api.http.from_shapes import answer_given
from api.http.responses import GeneratedArrays
from api.http.streaming import EVENTS
from api.http.variants import answer, stream
from api.jobs.service import Jobs
from api.messages import Decoded, Finished, Fitted, Order, Progress, Recognised, Slice, Status, Unfitted
from api.process import deployment
from api.process.drain import before_end, end_when_idle
from api.sampler import order_gate, ready_gate, token_gate
from api.sampler.model_threads import ModelThreads
from api.schemas import BatchRequest, GenerateRequest, Health
from api.telemetry import metrics, metrics_page, own_figures

JSON = ContentType("application/json")
"""For a list BentoML would else make a JSON schema with every answer, to see whether it is a file."""
settings = lifecycle.start()
endpoints = Endpoints()


@bentoml.service(
    resources={"gpu": settings.gpus} if settings.device != "cpu" else {},
    workers=settings.gpus,
    **deployment.SAMPLER_CONNECTION,
    **deployment.options(settings),
)
@bentoml.asgi_app(metrics_page.app(), path="/")
class Sampler:
    """Text tower, coarse and fine stage. Stateless between calls: any Sampler takes any state."""

    def __init__(self) -> None:
        metrics.start_sampler()
        own_figures.follow("sampler")
        self.threads = ModelThreads(settings, (bentoml.server_context.worker_index or 1) - 1)
        readiness.loading = lambda: self.threads.loading
        end_when_idle(lambda: self.threads.idle_seconds, settings.drain_seconds)

    async def __is_ready__(self) -> bool:
        return self.threads.status().health.status == "ready"

    @bentoml.api
    async def status(self) -> Status:
        """Health and measured step times."""
        return self.threads.status()

    @bentoml.api
    async def recognise(self, prompt: str) -> Recognised:
        """What is known of a prompt."""
        return await self.threads.run(lambda engine: engine.recognise(prompt))

    @bentoml.api
    async def fit(self, item: Unfitted) -> Fitted:
        """A given shape, a slice of steps nearer to its latent."""
        return await self.threads.run(lambda engine: engine.fit(item))

    @bentoml.api
    async def begin(self, order: Order) -> Progress:
        """The first state of a generation."""
        return await self.threads.run(lambda engine: engine.begin(order))

    # Not `batchable`: BentoML would run one batch at a time, and the GPU would wait while its results travel.
    @bentoml.api
    async def denoise(self, items: list[Slice]) -> Annotated[list[Progress], JSON]:
        """Every state, a slice of denoising steps further, in batches with what others sent."""
        return await self.threads.denoise(items)

    @bentoml.api
    async def decode(self, item: Finished) -> Decoded:
        """Voxels of a finished state; with `fine_steps`, also the first state of the fine stage."""
        return await self.threads.run(lambda engine: engine.decode(item.state, item.fine_steps))


token_gate.guard(Sampler, settings)
order_gate.guard(Sampler)
readiness = ready_gate.guard(Sampler)


@bentoml.service(workers=settings.workers, runner_probe={"enabled": False}, **deployment.options(settings))
@bentoml.asgi_app(endpoints.app, path="/")
class XCube:
    """Text to 3-D voxels."""

    sampler = bentoml.depends(Sampler, url=settings.sampler_url)

    def __init__(self) -> None:
        metrics.start_http()
        own_figures.follow("http")
        discovery.prepare(self.sampler, settings)
        client = SamplerClient(self.sampler, settings.gpus)
        self.monitor = Monitor(client, StartUp())
        self.generator = Generator(settings, client, self.monitor)
        self.jobs = Jobs(settings, self.generator)
        endpoints.connect(self.generator, self.jobs, lambda: entry.openapi_spec.asdict()["paths"])
        before_end(self.drain)
        lifecycle.keep_sockets(ending=lambda: self.generator.draining)
        background = (self.monitor.run(), discovery.follow(settings.sampler_url, client.share_among))
        self.background = [asyncio.get_running_loop().create_task(each) for each in background]

    async def __is_ready__(self) -> bool:
        return gate.passes(self.generator.check_default)

    async def drain(self) -> None:
        """Saves jobs, takes no new requests, and lets those that are here end."""
        await asyncio.gather(self.jobs.stop(), self.generator.drain(settings.drain_seconds))

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Ends what runs in the background."""
        for task in self.background:
            task.cancel()
        await self.jobs.close()

    # BentoML takes the fields from the specification, so that they stand in api/schemas.py alone.
    @bentoml.api(input_spec=GenerateRequest, output_spec=GeneratedArrays)
    async def generate(self, **fields: Any) -> Response:
        """A prompt becomes voxels with normals."""
        return await answer(self.generator, GenerateRequest(**fields), calls.current())

    @bentoml.api(input_spec=GenerateRequest)
    async def generate_stream(self, **fields: Any) -> AsyncGenerator[Annotated[str, ContentType(EVENTS)], None]:
        """The same as server-sent events: queued, progress, coarse, then completed or failed."""
        async for event in stream(self.generator, GenerateRequest(**fields), calls.current()):
            yield event

    @bentoml.api(input_spec=RefineRequest, output_spec=GeneratedArrays)
    async def refine(self, **fields: Any) -> Response:
        """A coarse shape and a prompt become a fine shape."""
        return await self._from_shape(RefineRequest(**fields))

    @bentoml.api(input_spec=VariationRequest, output_spec=GeneratedArrays)
    async def variations(self, **fields: Any) -> Response:
        """A shape becomes one that resembles it."""
        return await self._from_shape(VariationRequest(**fields))

    async def _from_shape(self, asked: RefineRequest | VariationRequest) -> Response:
        return await answer_given(endpoints.shapes, self.generator, self.jobs, asked, calls.current())

    @bentoml.api(input_spec=BatchRequest, output_spec=BatchResults)
    async def batch_generate(self, **fields: Any) -> Response:
        """Several prompts become shapes, in order; one that fails does not disturb the others."""
        return await answer_batch(self.generator, BatchRequest(**fields), calls.current(), settings.max_batch)

    @bentoml.api
    async def health(self) -> Health:
        """What the service is doing."""
        return self.monitor.health


entry: Any = XCube  # what the decorator made of the class
deployment.follow(entry)
gate.guard(entry, settings)
