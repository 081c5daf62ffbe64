"""Spans of a generation, as an exporter of OpenTelemetry gets them; the models are real, the Sampler is in-process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from api import call as calls
from api.call import Call
from api.generation.generator import Generator
from api.generation.monitor import Monitor
from api.generation.sampler_client import SamplerClient
from api.http.responses import answer
from api.messages import Decoded, Finished, Order, Progress, Slice, Status
from api.sampler.engine import Engine
from api.schemas import GenerateRequest
from api.settings import Settings
from api.telemetry.tracing import REQUEST_ID


class LocalSampler:
    """A Sampler without a process of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def status(self) -> Status:
        return self.engine.status()

    async def begin(self, order: Order) -> Progress:
        return self.engine.begin(order)

    async def denoise(self, items: list[Slice]) -> list[Progress]:
        return self.engine.denoise(items)

    async def decode(self, item: Finished) -> Decoded:
        return self.engine.decode(item.state, item.fine_steps)


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Receives every span that is made through BentoML's tracer."""
    provider = TracerProvider()
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    BentoMLContainer.tracer_provider.set(provider)
    yield memory
    BentoMLContainer.tracer_provider.reset()
    provider.shutdown()


@pytest.fixture(scope="module")
def engine(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with all models."""
    store = tmp_path_factory.mktemp("store") / "models"
    store.mkdir()
    BentoMLContainer.model_store.set(ModelStore(store))
    threads = torch.get_num_threads()
    engine = Engine(Settings(checkpoint_dir=tiny_models, device="cpu", threads=1))
    engine.load()
    yield engine
    torch.set_num_threads(threads)
    BentoMLContainer.model_store.reset()


def generate(engine: Engine, call: Call, **fields: Any) -> int:
    """Answers a request inside a span, as BentoML's middleware makes one; returns the status."""

    async def main() -> int:
        client = SamplerClient(LocalSampler(engine))
        monitor = Monitor(client)
        await monitor.refresh()
        calls.set_current(call)
        generator = Generator(engine.settings, client, monitor)
        request = GenerateRequest(**{"prompt": "a chair", "ddim_steps": 3, "seed": 1, **fields})
        tracer = BentoMLContainer.tracer_provider.get().get_tracer("the server")
        with tracer.start_as_current_span("POST /generate"):
            return (await answer(generator, request, call)).status_code

    return asyncio.run(main())


def test_each_part_is_a_span_of_the_requests_trace_with_its_id(engine: Engine, exporter: InMemorySpanExporter) -> None:
    assert generate(engine, Call("trace-1")) == 200
    spans = {span.name: span for span in exporter.get_finished_spans()}
    root = spans.pop("POST /generate")
    assert list(spans) == ["queue", "text", "coarse", "fine", "write"]
    for span in spans.values():
        assert span.parent is not None
        assert span.parent.span_id == root.context.span_id
        assert span.context.trace_id == root.context.trace_id
        assert span.attributes == {REQUEST_ID: "trace-1"}
        assert span.end_time > span.start_time
    starts = [span.start_time for span in spans.values()]
    assert starts == sorted(starts)


def test_without_fine_there_is_no_span_for_it(engine: Engine, exporter: InMemorySpanExporter) -> None:
    assert generate(engine, Call("trace-2"), use_fine=False) == 200
    assert "fine" not in {span.name for span in exporter.get_finished_spans()}


def test_an_error_is_recorded_in_the_span_that_it_left(engine: Engine, exporter: InMemorySpanExporter) -> None:
    engine.settings = engine.settings.model_copy(update={"max_voxels": 1})
    try:
        assert generate(engine, Call("trace-3")) == 422
    finally:
        engine.settings = engine.settings.model_copy(update={"max_voxels": 2_000_000})
    failed = [span for span in exporter.get_finished_spans() if span.status.status_code is StatusCode.ERROR]
    assert [span.name for span in failed] == ["coarse"]
    assert "XCUBE_MAX_VOXELS" in str(failed[0].status.description)
