"""A generation's way through queue, slices and faults, against a Sampler that is made up."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import aiohttp
import numpy as np
import pytest
from bentoml.exceptions import InternalServerError

from api.call import Call
from api.errors import ClientGone, DeadlinePassed, Draining, EmptyResult, QueueFull, StillLoading, TooSlow, WorkerLost
from api.generation.generator import Generator
from api.generation.monitor import Monitor
from api.generation.sampler_client import SamplerClient
from api.generation.timings import Timings
from api.given import Variation, VariedRequest
from api.http.streaming import EventStream
from api.messages import Decoded, Finished, Fitted, ModelStatus, Order, Progress, Slice, Status, Unfitted
from api.schemas import LOADING, GenerateRequest
from api.settings import Settings
from formats import FORMATS
from models.shape import Shape, Voxels

T = TypeVar("T")
READY = LOADING.model_copy(update={"status": "ready", "model_loaded": True})
SHAPE = Voxels(np.zeros((1, 3), np.int16), np.array([[0, 0, 1]], np.float32), 1 / 32).to_bytes()


class FakeSampler:
    """Denoises by counting; `faults` are raised by the next calls of `denoise`."""

    def __init__(self) -> None:
        self.faults: list[Exception] = []
        self.slices = 0
        self.pause = 0.0
        self.makers: Iterator[str] = itertools.repeat("")
        self.decoded = Decoded(voxels=SHAPE)
        self.current = Status(health=READY, models={"fine": ModelStatus(usable=True)})

    async def status(self) -> Status:
        return self.current

    async def begin(self, order: Order) -> Progress:
        return Progress(state=b"0", made_by=next(self.makers), steps=order.ddim_steps)

    async def denoise(self, items: list[Slice]) -> list[Progress]:
        self.slices += 1
        await asyncio.sleep(self.pause)
        if self.faults:
            raise self.faults.pop(0)
        made_by = next(self.makers)
        after = [int(item.state) + 1 for item in items]
        return [Progress(state=b"%d" % step, made_by=made_by, step=step, steps=10) for step in after]

    async def decode(self, item: Finished) -> Decoded:
        assert item.state == b"10"
        return self.decoded


def serve(
    sampler: FakeSampler, test: Callable[[Callable[..., Awaitable[Shape]], Generator], Awaitable[T]], **settings: Any
) -> T:
    """Runs a test with a function that generates, and the generator behind it."""

    async def main() -> T:
        client = SamplerClient(sampler)
        monitor = Monitor(client)
        await monitor.refresh()
        generator = Generator(Settings(**settings), client, monitor)

        def generate(call: Call | None = None, **fields: Any) -> Awaitable[Shape]:
            request = GenerateRequest(**{"prompt": "x", "ddim_steps": 10, "use_fine": False, **fields})
            return generator.run(request, call or Call(), Timings())

        return await test(generate, generator)

    return asyncio.run(main())


def outcome(sampler: FakeSampler, **settings: Any) -> Shape:
    return serve(sampler, lambda generate, _: generate(), **settings)


def test_a_slice_lost_with_its_worker_is_sent_again() -> None:
    sampler = FakeSampler()
    sampler.faults = [aiohttp.ServerDisconnectedError(), ConnectionRefusedError(), TimeoutError()]
    assert len(outcome(sampler).coarse) == 1
    assert sampler.slices == 13


def test_a_worker_that_answers_with_a_fault_again_and_again_is_given_up() -> None:
    sampler = FakeSampler()
    sampler.faults = [InternalServerError("masked") for _ in range(9)]
    with pytest.raises(WorkerLost):
        outcome(sampler)
    assert sampler.slices == 3


def test_a_request_of_which_one_worker_after_the_other_dies_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.generation.sampler_client.LONGEST_PAUSE", 0.0)
    sampler = FakeSampler()
    sampler.faults = [aiohttp.ServerDisconnectedError() for _ in range(99)]
    with pytest.raises(WorkerLost):
        outcome(sampler)
    assert sampler.slices == 11


def test_what_the_models_found_wrong_arrives_as_the_same_error() -> None:
    sampler = FakeSampler()
    sampler.decoded = Decoded(code="empty_result", error="Nothing there.")
    with pytest.raises(EmptyResult, match=r"Nothing there\."):
        outcome(sampler)


@pytest.mark.parametrize(
    ("makers", "known"),
    [(itertools.repeat("cpu; a"), "cpu; a"), (itertools.cycle(["cpu; a", "gpu; a"]), ""), (itertools.repeat(""), "")],
)
def test_a_result_is_remembered_where_all_that_made_it_agree_to_the_last_bit(makers: Iterator[str], known: str) -> None:
    sampler, call = FakeSampler(), Call()
    sampler.makers = makers

    async def remembered(generate: Callable[..., Awaitable[Shape]], generator: Generator) -> list[bool]:
        made = await generate(call, seed=3)
        request = GenerateRequest(prompt="x", ddim_steps=10, use_fine=False, seed=3)
        return [generator.recent.get(bits, request) is made for bits in ("cpu; a", "gpu; a", "")]

    assert serve(sampler, remembered) == [known == "cpu; a", False, False]
    assert call.made_by == known


def test_nothing_starts_while_the_models_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.generation.monitor.LOOK", 0.01)
    sampler = FakeSampler()
    sampler.current = Status(health=LOADING)
    with pytest.raises(StillLoading, match="still loading"):
        outcome(sampler)
    assert sampler.slices == 0


def test_a_request_that_cannot_end_in_time_is_refused_before_any_work() -> None:
    sampler = FakeSampler()
    sampler.current.step_seconds["coarse"] = 2.0
    with pytest.raises(TooSlow, match="at most 4 steps"):
        outcome(sampler, deadline_seconds=10)
    assert sampler.slices == 0


def test_the_deadline_stops_the_work() -> None:
    sampler = FakeSampler()
    sampler.pause = 0.05
    with pytest.raises(DeadlinePassed):
        outcome(sampler, deadline_seconds=0.12)
    assert sampler.slices <= 3


def test_a_worker_that_never_comes_back_ends_at_the_deadline() -> None:
    sampler = FakeSampler()
    sampler.faults = [aiohttp.ServerDisconnectedError() for _ in range(99)]
    with pytest.raises(DeadlinePassed):
        outcome(sampler, deadline_seconds=0.3)


def test_the_work_stops_with_the_slice_in_which_the_client_leaves() -> None:
    sampler = FakeSampler()
    sampler.pause = 0.02

    async def leave(generate: Callable[..., Awaitable[Shape]], generator: Generator) -> None:
        call = Call()
        asyncio.get_running_loop().call_later(0.05, call.gone.set)
        with pytest.raises(ClientGone):
            await generate(call)
        seen = sampler.slices
        await asyncio.sleep(0.1)
        assert sampler.slices == seen <= 4
        assert (generator.admission.running, generator.admission.outstanding) == (0, 0)

    serve(sampler, leave)


def test_who_comes_too_many_is_refused_and_the_others_are_served_in_turn() -> None:
    sampler = FakeSampler()
    sampler.pause = 0.005
    sampler.current.step_seconds["coarse"] = 0.3

    async def crowd(generate: Callable[..., Awaitable[Shape]], generator: Generator) -> list[Any]:
        results = await asyncio.gather(*(generate() for _ in range(6)), return_exceptions=True)
        assert (generator.admission.running, generator.admission.waiting) == (0, 0)
        return results

    results = serve(sampler, crowd, max_running=2, max_queue=2)
    assert [type(result) for result in results] == [Shape] * 4 + [QueueFull] * 2
    assert results[-1].retry_after == pytest.approx(3.5)


def test_who_would_wait_beyond_the_deadline_is_refused_at_once() -> None:
    sampler = FakeSampler()
    sampler.pause = 0.005
    sampler.current.step_seconds["coarse"] = 0.6

    async def crowd(generate: Callable[..., Awaitable[Shape]], _: Generator) -> list[Any]:
        return list(await asyncio.gather(*(generate() for _ in range(3)), return_exceptions=True))

    kinds = [type(result) for result in serve(sampler, crowd, max_running=1, max_queue=9, deadline_seconds=17)]
    assert kinds == [Shape, Shape, QueueFull]


def test_who_is_refused_for_the_work_of_others_is_told_when_it_will_be_less() -> None:
    sampler = FakeSampler()
    sampler.pause = 0.005
    sampler.current.step_seconds["coarse"] = 0.6  # 6.5 s each with what is added for the rest

    async def crowd(generate: Callable[..., Awaitable[Shape]], _: Generator) -> list[Any]:
        requests = [generate(ddim_steps=steps) for steps in (10, 10, 30)]
        return list(await asyncio.gather(*requests, return_exceptions=True))

    *_, refused = serve(sampler, crowd, max_running=5, max_queue=9, deadline_seconds=30)
    assert isinstance(refused, QueueFull)
    assert refused.retry_after == pytest.approx(2 * 6.5 + 18.5 - 0.8 * 30, rel=0.01)


def test_a_service_that_stops_refuses_new_work_lets_all_else_end_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "xcube.generation")
    sampler = FakeSampler()
    sampler.pause = 0.005

    async def drain(generate: Callable[..., Awaitable[Shape]], generator: Generator) -> None:
        running, waiting = asyncio.ensure_future(generate()), asyncio.ensure_future(generate())
        while not (generator.admission.running and generator.admission.waiting):
            await asyncio.sleep(0)
        end = asyncio.ensure_future(generator.drain(60))
        await asyncio.sleep(0)
        with pytest.raises(Draining) as caught:
            await generate()
        assert caught.value.retry_after
        await end
        assert [isinstance(await one, Shape) for one in (running, waiting)] == [True, True]
        assert [record.getMessage() for record in caplog.records] == ["stopping: 1 running, which may take 60 s"]

    serve(sampler, drain, max_running=1)


def test_a_service_that_stops_hands_back_what_does_not_end_in_time() -> None:
    sampler = FakeSampler()
    sampler.pause = 30.0

    async def drain(generate: Callable[..., Awaitable[Shape]], generator: Generator) -> None:
        both = [asyncio.ensure_future(generate()) for _ in range(2)]
        while not (generator.admission.running and generator.admission.waiting):
            await asyncio.sleep(0)
        await generator.drain(0.02)
        assert [type(one) for one in await asyncio.gather(*both, return_exceptions=True)] == [Draining, Draining]
        assert (generator.admission.running, generator.admission.waiting) == (0, 0)

    serve(sampler, drain, max_running=1)


def test_a_file_that_nobody_waits_for_any_more_is_not_made() -> None:
    ended: list[str] = []

    async def write(*_: object) -> bytes:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("stopped")
        return b""

    async def leave(generate: Callable[..., Awaitable[Shape]], generator: Generator) -> None:
        call, result = Call(), await generate()
        generator.writer.write = write  # type: ignore[method-assign]
        asyncio.get_running_loop().call_later(0.02, call.gone.set)
        with pytest.raises(ClientGone):
            await generator.write(FORMATS[0], result, call)

    serve(FakeSampler(), leave)
    assert ended == ["stopped"]


def test_a_client_that_leaves_the_queue_frees_its_place() -> None:
    sampler = FakeSampler()
    sampler.pause = 0.01

    async def leave(generate: Callable[..., Awaitable[Shape]], generator: Generator) -> None:
        call = Call()
        first, second = asyncio.ensure_future(generate()), asyncio.ensure_future(generate(call))
        await asyncio.sleep(0.03)
        assert generator.admission.waiting == 1
        call.gone.set()
        with pytest.raises(ClientGone):
            await second
        assert generator.admission.waiting == 0
        assert isinstance(await first, Shape)
        assert generator.admission.running == 0

    serve(sampler, leave, max_running=1)


def test_no_seed_draws_one_that_every_client_can_send_again() -> None:
    call = Call()
    result = serve(FakeSampler(), lambda generate, _: generate(call))
    assert call.headers["X-Seed"] == str(result.seed)
    assert 0 <= result.seed < 2**31
    assert serve(FakeSampler(), lambda generate, _: generate(seed=-5)).seed == -5


def test_a_stream_whose_work_fails_ends_with_the_error_as_an_event() -> None:
    sampler = FakeSampler()
    sampler.decoded = Decoded(code="empty_result", error="Nothing there.")

    async def read(_: object, generator: Generator) -> list[bytes]:
        request = GenerateRequest(prompt="x", ddim_steps=10)
        return [event async for event in EventStream(generator, request, Call())]

    *before, last = serve(sampler, read)
    assert before[0].startswith(b"event: queued")
    assert last == b'event: failed\ndata: {"error":"Nothing there.","code":"empty_result","retryable":false}\n\n'


def test_the_search_for_a_latent_ends_when_its_client_leaves() -> None:
    sampler, call, calls = FakeSampler(), Call(), 0

    async def fit(item: Unfitted) -> Fitted:
        nonlocal calls
        calls += 1
        if calls == 2:
            call.gone.set()
        await asyncio.sleep(0.01)
        return Fitted(fit=b"begun", step=calls)

    sampler.fit = fit  # type: ignore[attr-defined]
    request = VariedRequest(prompt="x", variation=Variation(coarse=SHAPE, strength=0.5))

    async def test(_: Any, generator: Generator) -> None:
        with pytest.raises(ClientGone):
            await generator.run(request, call, Timings())
        before = calls
        await asyncio.sleep(0.05)
        assert calls == before
        assert generator.admission.running == 0

    serve(sampler, test)
    assert sampler.slices == 0
