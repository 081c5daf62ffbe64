"""The two services: XCube speaks HTTP, Sampler holds the models. Everything they do is in api/ and models/."""

# mypy: disallow-untyped-decorators=False
from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from api import call as calls
from api import lifecycle
from api.generation import discovery
from api.generation.batching import MOST_SAMPLES
from api.generation.generator import Generator
from api.generation.monitor import Monitor
from api.generation.sampler_client import Remote
from api.generation.startup import StartUp
from api.http.auth import ApiKey
from api.http.batch import BatchItem, BatchRequest, BatchResults, answer_batch
from api.http.gate import Gate
from api.http.headers import cors
from api.http.pages import Pages
from api.http.responses import GeneratedArrays, answer
from api.http.streaming import MEDIA_TYPE as EVENTS
from api.http.streaming import EventStream
from api.jobs.service import Jobs
from api.messages import Decoded, Finished, Order, Progress, Slice, Status
from api.process import connections
from api.process.drain import before_end, end_when_idle
from api.sampler.model_thread import Worker
from api.sampler.token_gate import TokenGate, present
from api.schemas import GenerateRequest, GuidanceScale, Health, NoParameters, Prompt, Seed, Steps
from api.settings import load_settings
from api.telemetry import logs, metrics, metrics_page

settings = load_settings()
lifecycle.begin()
connections.use(settings.keep_alive_seconds)
logs.configure()
pages = Pages()
# BentoML's own limits stay out of the way: deadlines and queues are api/'s (see docs of the settings).
LONGEST_CALL = settings.deadline_seconds + settings.drain_seconds


# BentoML's own metrics have a label with whatever path was asked for: any stranger could make series without end.
@bentoml.service(
    resources={"gpu": settings.gpus} if settings.device != "cpu" else {},
    workers=settings.gpus,
    traffic={"timeout": LONGEST_CALL},
    # Without these BentoML closes the connection every 100 calls, with calls still in flight.
    runner_connection={"max_requests": 1_000_000_000, "max_age": 1e9},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(metrics_page.app(), path="/")
class Sampler:
    """Text tower, coarse and fine stage. Stateless between calls: any Sampler takes any state."""

    def __init__(self) -> None:
        metrics.start_sampler()
        self.worker = Worker(settings, (bentoml.server_context.worker_index or 1) - 1)
        end_when_idle(lambda: self.worker.idle_seconds, settings.drain_seconds)

    async def __is_ready__(self) -> bool:
        return self.worker.status().health.status == "ready"

    @bentoml.api
    async def status(self) -> Status:
        """Health and measured step times."""
        return self.worker.status()

    @bentoml.api
    async def begin(self, order: Order) -> Progress:
        """The first state of a generation."""
        return await self.worker.run(lambda engine: engine.begin(order))

    @bentoml.api(batchable=True, max_batch_size=MOST_SAMPLES, max_latency_ms=int(1000 * LONGEST_CALL))
    async def denoise(self, items: list[Slice]) -> list[Progress]:
        """Every state, a slice of denoising steps further."""
        return await self.worker.run(lambda engine: engine.denoise(items))

    @bentoml.api
    async def decode(self, item: Finished) -> Decoded:
        """Voxels of a finished state; with `refine`, also the first state of the fine stage."""
        return await self.worker.run(lambda engine: engine.decode(item.state, item.refine))


if settings.sampler_token is not None:
    as_service: Any = Sampler
    as_service.add_asgi_middleware(TokenGate, token=settings.sampler_token.get_secret_value())


@bentoml.service(
    workers=settings.workers,
    traffic={"timeout": LONGEST_CALL},
    runner_probe={"enabled": False},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(pages.app, path="/")
class XCube:
    """Text to 3-D voxels."""

    sampler = bentoml.depends(Sampler, url=settings.sampler_url)

    def __init__(self) -> None:
        if settings.sampler_token is not None:
            present(self.sampler, settings.sampler_token.get_secret_value())
        metrics.start_http()
        remote = Remote(self.sampler, lanes=settings.gpus)
        self.monitor = Monitor(remote, StartUp())
        self.generator = Generator(settings, remote, self.monitor)
        pages.health = lambda: self.monitor.health
        pages.models = lambda: self.monitor.status.models
        pages.infrastructure = lambda: entry.openapi_spec.asdict()["paths"]
        self.jobs = pages.jobs.jobs = Jobs(settings, self.generator)
        before_end(self.drain)
        lifecycle.keep_sockets(ending=lambda: self.generator.draining)
        background = [self.monitor.run()]
        if settings.sampler_url is not None:
            discovery.choose_anew(self.sampler)
            background.append(discovery.follow(settings.sampler_url, remote.share_among))
        self.background = [asyncio.get_running_loop().create_task(each) for each in background]

    async def __is_ready__(self) -> bool:
        return self.monitor.health.status == "ready" and not self.generator.draining

    async def drain(self) -> None:
        """Saves jobs, takes no new requests, and lets those that are here end."""
        await asyncio.gather(self.jobs.stop(), self.generator.drain(settings.drain_seconds))

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Ends what runs in the background."""
        for task in self.background:
            task.cancel()
        await self.jobs.stop()

    @bentoml.api(output_spec=GeneratedArrays)
    async def generate(
        self,
        prompt: Prompt,
        ddim_steps: Steps = 100,
        guidance_scale: GuidanceScale = 7.5,
        seed: Seed | None = None,
        use_fine: bool = True,
    ) -> Response:
        """A prompt becomes voxels with normals."""
        request = GenerateRequest(
            prompt=prompt, ddim_steps=ddim_steps, guidance_scale=guidance_scale, seed=seed, use_fine=use_fine
        )
        return await answer(self.generator, request, calls.current())

    @bentoml.api
    async def generate_stream(
        self,
        prompt: Prompt,
        ddim_steps: Steps = 100,
        guidance_scale: GuidanceScale = 7.5,
        seed: Seed | None = None,
        use_fine: bool = True,
    ) -> AsyncGenerator[Annotated[str, ContentType(EVENTS)], None]:
        """The same as server-sent events: queued, progress, coarse, then completed or failed."""
        request = GenerateRequest(
            prompt=prompt, ddim_steps=ddim_steps, guidance_scale=guidance_scale, seed=seed, use_fine=use_fine
        )
        async for event in EventStream(self.generator, request, calls.current()):
            yield event.decode()

    @bentoml.api(output_spec=BatchResults)
    async def batch_generate(
        self,
        prompts: list[Prompt | BatchItem],
        ddim_steps: Steps = 100,
        guidance_scale: GuidanceScale = 7.5,
        seed: Seed | None = None,
        use_fine: bool = True,
    ) -> Response:
        """Several prompts become shapes, in order; one that fails does not disturb the others."""
        batch = BatchRequest(
            prompts=prompts, ddim_steps=ddim_steps, guidance_scale=guidance_scale, seed=seed, use_fine=use_fine
        )
        return await answer_batch(self.generator, batch, calls.current(), settings.max_batch)

    @bentoml.api
    async def health(self) -> Health:
        """What the service is doing."""
        return self.monitor.health


entry: Any = XCube  # what the decorator made of the class
if settings.cors_origins:  # first: it answers preflights, which have no key, and adds to errors what browsers need
    entry.add_asgi_middleware(CORSMiddleware, **cors(settings.cors_origins))
entry.add_asgi_middleware(
    Gate,
    bodies={
        "/generate": GenerateRequest,
        "/generate_stream": GenerateRequest,
        "/batch_generate": BatchRequest,
        "/jobs": GenerateRequest,
        "/health": NoParameters,
    },
    max_body_bytes=settings.max_body_bytes,
    key=ApiKey(settings.api_key, everywhere=settings.api_key_everywhere),
)
