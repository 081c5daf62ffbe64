"""One generation, from a place in the queue to arrays: the loop over slices, its deadline, its client's presence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

from api import metrics
from api.admission import Admission
from api.call import Call
from api.errors import ClientGone, DeadlinePassed
from api.health import Monitor
from api.pacing import check_deadline, estimate
from api.remote import Remote
from api.result import Result
from api.schemas import GenerateRequest, random_seed
from api.settings import Settings
from api.wire import Decoded, Order, Progress, unpack_voxels

T = TypeVar("T")


class Timings:
    """Seconds by part of the work, for the header Server-Timing."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measures a block as one part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def header(self) -> str:
        """The header's value, in milliseconds."""
        return ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in self.seconds.items())


class Generator:
    """Runs generations against a Sampler. A Sampler process may die on the way: the slice is taken up by another."""

    def __init__(self, settings: Settings, remote: Remote, monitor: Monitor) -> None:
        self.settings = settings
        self.remote = remote
        self.monitor = monitor
        self.admission = Admission(settings.max_running, settings.max_queue)

    async def run(self, request: GenerateRequest, call: Call, timings: Timings) -> Result:
        """Generates one shape.

        Raises:
            StillLoading, ModelsUnavailable, TooSlow, QueueFull: before any work.
            EmptyResult, TooManyVoxels, NumericError, OutOfMemory, WorkerLost: from the models.
            DeadlinePassed, ClientGone: the work stopped with the slice that was running.
        """
        self.monitor.check_ready()
        status = self.monitor.status
        deadline = self.settings.deadline_seconds
        check_deadline(request, status.step_seconds, fine_model=status.fine_model, deadline=deadline)
        seed = random_seed() if request.seed is None else request.seed
        call.headers["X-Seed"] = str(seed)
        work = estimate(request, status.step_seconds, fine_model=status.fine_model)
        job = self._generate(Order.of(request, seed), work, timings)
        return await _while_wanted(job, call, deadline)

    async def _generate(self, order: Order, work: float, timings: Timings) -> Result:
        async with AsyncExitStack() as place:
            with timings.measure("queue"):
                await place.enter_async_context(self.admission.place(work, self.settings.deadline_seconds - work))
            metrics.queued(timings.seconds["queue"])
            with timings.measure("text"), metrics.part("text"):
                progress = await self.remote.begin(order)
            warnings = progress.warnings
            with timings.measure("coarse"):
                decoded = await self._finish(progress, refine=order.use_fine)
            coarse, fine = unpack_voxels(decoded.voxels), None
            metrics.points("coarse", len(coarse))
            if decoded.fine is not None:
                with timings.measure("fine"):
                    decoded = await self._finish(decoded.fine, refine=False)
                warnings += decoded.warnings
                fine = unpack_voxels(decoded.voxels) if decoded.voxels else None
                metrics.points("fine", len(fine) if fine else 0)
        return Result(coarse, fine, order.seed, warnings)

    async def _finish(self, progress: Progress, *, refine: bool) -> Decoded:
        with metrics.part(f"{progress.stage}_diffusion"):
            while not progress.done:
                progress = await self.remote.denoise(progress.state)
        with metrics.part(f"{progress.stage}_decode"):
            return await self.remote.decode(progress.state, refine=refine)


async def _while_wanted(work: Coroutine[Any, Any, T], call: Call, deadline: float) -> T:
    """The result of some work, unless the client leaves or the deadline passes first: then the work is cancelled."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(call.gone.wait())
    try:
        await asyncio.wait({task, gone}, timeout=deadline - call.seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
    if call.gone.is_set():
        raise ClientGone("The client closed the connection.")
    raise DeadlinePassed(f"The request did not end within {deadline:.0f} s and was stopped: ask for fewer steps.")
