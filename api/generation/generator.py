"""One generation, from a place in the queue to arrays: the loop over slices, its deadline, its client's presence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import bentoml

from api.call import Call
from api.errors import ClientGone, DeadlinePassed, Draining, QueueFull
from api.generation.admission import Admission, Place
from api.generation.estimates import check_deadline, fit_seconds, step_of, work_left
from api.generation.events import CoarseMade, Event, Queued, Remaining, Report, Stepped, ignore
from api.generation.fits import Fits
from api.generation.kept import KeptResults
from api.generation.monitor import Monitor
from api.generation.parts import is_part, with_coarse, with_fine
from api.generation.recent import RecentResults
from api.generation.sampler_client import SamplerClient
from api.generation.timings import Timings
from api.messages import Decoded, Order, Progress, Recognised, Status, weights_of
from api.process import shared_state
from api.quotas import Quotas
from api.schemas import GenerateRequest, fine_steps_of, random_seed, steps_of
from api.settings import Settings
from api.telemetry import metrics
from formats import File, FileWriter, Format, Options
from models.presets import Network
from models.shape import Shape, Voxels
from models.version import service_version

T = TypeVar("T")
log = logging.getLogger("xcube.generation")
RECENT_BYTES = 64 * 2**20
"""A hundred shapes of the demo models, six of 512³; each HTTP process grows by as much before its memory is level."""
RETRY_DRAINING = 5.0


@dataclass(frozen=True)
class Saved:
    """A generation between two slices: its state, its packed coarse shape once there is one, what is to be told."""

    progress: Progress
    coarse: bytes | None
    warnings: tuple[str, ...]


class Generator:
    """Runs generations against a Sampler. A Sampler process may die on the way: the slice is taken up by another."""

    def __init__(self, settings: Settings, sampler: SamplerClient, monitor: Monitor) -> None:
        self.settings = settings
        self.sampler = sampler
        self.monitor = monitor
        number = (bentoml.server_context.worker_index or 1) - 1
        running, queue = (
            part_of(most, number, settings.workers) for most in (settings.max_running, settings.max_queue)
        )
        self.admission = Admission(max(1, running), queue)
        self.quotas = Quotas(shared_state.of_this_service("quotas"))
        self.fits = Fits(sampler)
        self.recent = RecentResults(RECENT_BYTES)
        folder = settings.recent_dir
        self.kept = None if folder is None else KeptResults(folder, settings.recent_max_bytes)
        self.writer = FileWriter()
        self.draining = False
        """Whether the service is stopping: it takes no new work."""
        self._handed_back = asyncio.Event()

    async def run(self, request: GenerateRequest, call: Call, timings: Timings, report: Report = ignore) -> Shape:
        """Generates one shape for a client that waits. `call.made_by` tells then who made it.

        Raises:
            Draining, StillLoading, ModelsUnavailable, InvalidRequest, TooSlow, QuotaExceeded, Forbidden, QueueFull:
                before any work.
            EmptyResult, TooManyVoxels, NumericError, OutOfMemory, WorkerLost: from the models.
            DeadlinePassed, ClientGone, Draining: the work stopped with the slice that was running.
        """
        await self.opened()
        self.check_network(request.network)
        status = self.monitor.status
        deadline = self.settings.deadline_seconds
        check_deadline(request, status.step_seconds, fine_model=status.fine_model, deadline=deadline)
        order = order_for(request)
        call.headers["X-Seed"] = str(order.seed)
        self.quotas.spend(call.client, steps_of(request))
        makers: set[str] = set()

        def follow(event: Event) -> None:
            if isinstance(event, Stepped):
                makers.add(event.progress.made_by)
            report(event)

        try:
            result = await self._while_wanted(self._placed(order, call, timings, follow), call)
        except QueueFull:
            self.quotas.give_back(call.client, steps_of(request))
            raise
        if len(makers) == 1:  # Samplers that differ in the last bits may have shared the work
            call.made_by = makers.pop()
        if call.made_by:
            self.recent.put(call.made_by, request, result)
            if self.kept is not None:
                self.kept.put(call.made_by, request, result)
        return result

    async def known(self, request: GenerateRequest, call: Call) -> Shape | None:
        """The result of an equal request with the same seed, if it is in memory or kept, and the client takes it."""
        if call.anew:
            return None
        bits = self.monitor.status.bits
        result = self.recent.get(bits, request)
        if result is None and self.kept is not None and (result := await self.kept.get(bits, request)) is not None:
            self.recent.put(bits, request, result)
        return result

    async def recognise(self, prompt: str, call: Call) -> Recognised:
        """What is known of a prompt, for a client that waits.

        Raises:
            Draining, StillLoading, ModelsUnavailable, OutOfMemory, WorkerLost: Nobody can tell now.
            DeadlinePassed, ClientGone: It took too long.
        """
        await self.opened()
        return await self._while_wanted(self.sampler.recognise(prompt), call)

    async def preview(self, progress: Progress) -> bytes:
        """What a state that is under way seems to become, as packed voxels. Raises what the models raise."""
        return (await self.sampler.decode(progress.state)).voxels

    async def write(self, format_: Format, result: Shape, call: Call, options: Options | None = None) -> File:
        """A result as a file for a client that waits.

        Raises:
            DeadlinePassed, ClientGone, Draining: the writing stopped.
        """
        return await self._while_wanted(self.writer.write(format_, result, service_version(), options), call)

    async def opened(self) -> None:
        """Lets pass what starts a generation; nobody who was told that the service is ready is refused.

        Raises:
            Draining: The service is stopping.
            StillLoading, ModelsUnavailable: There are no models to use.
        """
        self._check_draining()
        await self.monitor.look_again()
        self.monitor.check_ready()

    def check_default(self) -> None:
        """Lets pass what may send requests of any kind here.

        Raises:
            Draining, StillLoading, ModelsUnavailable: Some would be refused.
        """
        self._check_draining()
        self.monitor.check_default()

    def check_model(self, model: str) -> None:
        """Lets pass what needs one model.

        Raises:
            Draining: The service is stopping.
            NotFound, StillLoading, ModelsUnavailable: See `Monitor.check_model`.
        """
        self.check_known(model)
        self._check_draining()
        self.monitor.check_model(model)

    def _check_draining(self) -> None:
        if self.draining:
            raise _draining()

    def check_network(self, network: Network) -> None:
        """Lets pass what needs these denoisers. Raises ModelsUnavailable or InvalidRequest, see the monitor's."""
        self.monitor.check_network(network)

    def check_known(self, model: str) -> None:
        """Lets pass the name of a model that there is. Raises NotFound for any other."""
        self.monitor.check_known(model)

    def status(self) -> Status:
        """The Sampler's status as it is known now."""
        return self.monitor.status

    async def drain(self, longest: float) -> None:
        """Takes no new work, waits for what runs or waits, and after `longest` seconds hands that back."""
        self.draining = True
        if (running := self.admission.running) > 0:
            terminal = f"stopping: {running} running, Ctrl+C again ends it now"
            log.info("stopping: %d running, which may take %.0f s", running, longest, extra={"terminal": terminal})
        try:
            async with asyncio.timeout(longest):
                await self.admission.empty()
        except TimeoutError:
            self._handed_back.set()

    async def run_job(self, order: Order, report: Report, saved: Saved | None) -> Shape:
        """Generates one shape however long it takes, from where it was saved. Raises what the models raise."""
        warnings: tuple[str, ...] = ()
        if saved is None:
            order, warnings = await self._with_latent(order, Timings())
        return await self._generate(order, Timings(), report, saved, warnings=warnings)

    async def _placed(self, order: Order, call: Call, timings: Timings, report: Report) -> Shape:
        progress, to_fit = _first(order), order.fit_steps

        def fitted(left: int) -> None:
            nonlocal to_fit
            to_fit = left

        def left() -> float:
            return fit_seconds(to_fit, self.monitor.status.step_seconds) + self._work_left(order, progress)

        def follow(event: Event) -> None:
            nonlocal progress
            if isinstance(event, Stepped):
                progress = event.progress
            report(event)

        async with AsyncExitStack() as stack:
            with timings.measure("queue"):
                due = call.started + self.settings.deadline_seconds
                place = self.admission.place(call.client, left, due, lambda position: report(Queued(position)))
                held = await stack.enter_async_context(place)
            metrics.queued(timings.seconds["queue"])
            order, warnings = await self._with_latent(order, timings, held, fitted)
            return await self._generate(order, timings, follow, place=held, warnings=warnings)

    async def _generate(
        self, order: Order, timings: Timings, report: Report, saved: Saved | None = None, place: Place | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Shape:  # fmt: skip
        status = self.monitor.status
        remaining = Remaining(status.step_seconds, self._fine_steps(order))
        if saved is None:
            with timings.measure("text"), metrics.part("text"):
                progress = await self.sampler.begin(order.without_voxels())
            progress = progress.model_copy(update={"warnings": warnings + progress.warnings})
            saved = Saved(progress, None, progress.warnings)
            if order.given is not None:
                saved = replace(saved, coarse=order.given.coarse)
                report(CoarseMade(order.given.coarse, progress))
        run = _Run(remaining, report, place)
        coarse, warnings, latent = saved.coarse, saved.warnings, b""
        fine_start: Progress | None = saved.progress
        if coarse is None:
            with timings.measure("coarse"):
                decoded, latent = await self._finish(saved.progress, run, 0 if is_part(order) else fine_steps_of(order))
                coarse, fine_start = decoded.voxels, decoded.fine
                if is_part(order):
                    coarse = await asyncio.to_thread(with_coarse, order, coarse)
                    fine_start = await self.sampler.begin(order.refining(coarse)) if self._fine_steps(order) else None
            report(CoarseMade(coarse, fine_start))
        shape, fine = Voxels.from_bytes(coarse), None
        metrics.points("coarse", len(shape))
        if fine_start is not None:
            with timings.measure("fine"):
                decoded, _ = await self._finish(fine_start, run)
                made = await asyncio.to_thread(with_fine, order, decoded.voxels)
            warnings += decoded.warnings
            fine = Voxels.from_bytes(made) if made else None
            metrics.points("fine", len(fine) if fine else 0)
        return Shape(shape, fine, order.seed, warnings, order.prompt, weights_of(status.versions), latent=latent)

    async def _with_latent(
        self, order: Order, timings: Timings, place: Place | None = None, told: Callable[[int], None] = lambda _: None
    ) -> tuple[Order, tuple[str, ...]]:
        """See `Fits.with_latent`."""
        if not order.fit_steps:
            return order, ()
        with timings.measure("fit"), metrics.part("fit"):
            return await self.fits.with_latent(order, self.monitor.status, place, told)

    async def _finish(self, progress: Progress, run: _Run, fine_steps: int = 0) -> tuple[Decoded, bytes]:
        """The voxels of a state that is denoised to its end, and that end."""
        with metrics.part(f"{progress.stage}_diffusion"):
            run.report(Stepped(progress, run.remaining.seconds(progress)))
            while not progress.done:
                before, progress = progress.step, await self.sampler.denoise(progress)
                run.report(Stepped(progress, run.remaining.seconds(progress)))
                if run.place is not None:
                    seconds = step_of(progress.stage, progress.network, self.monitor.status.step_seconds)
                    await run.place.go_on(seconds * (progress.step - before))
        with metrics.part(f"{progress.stage}_decode"):
            return await self.sampler.decode(progress.state, fine_steps), progress.state

    async def _while_wanted(self, work: Coroutine[Any, Any, T], call: Call) -> T:
        """The result of some work, unless the client leaves, the deadline passes or the service stops first."""
        deadline = self.settings.deadline_seconds
        task = asyncio.create_task(work)
        gone, stop = asyncio.create_task(call.gone.wait()), asyncio.create_task(self._handed_back.wait())
        try:
            await asyncio.wait({task, gone, stop}, timeout=deadline - call.seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            for each in (task, gone, stop):
                each.cancel()
            await asyncio.gather(task, gone, stop, return_exceptions=True)
        if call.gone.is_set():
            raise ClientGone("The client closed the connection.")
        if self._handed_back.is_set():
            raise _draining()
        raise DeadlinePassed(
            f"The request did not finish within {deadline:.0f} s and was stopped: ask for fewer steps."
        )

    def _work_left(self, order: Order, progress: Progress) -> float:
        return work_left(progress, self.monitor.status.step_seconds, self._fine_steps(order))

    def _fine_steps(self, order: Order) -> int:
        """Steps that the fine stage will take; 0 where there is no such model."""
        return fine_steps_of(order) if self.monitor.status.fine_model else 0


@dataclass(frozen=True)
class _Run:
    """What goes with a generation through its stages; a job has no place among the requests."""

    remaining: Remaining
    report: Report
    place: Place | None


def order_for(request: GenerateRequest) -> Order:
    """The order for a request; a seed is drawn where it has none."""
    return Order.of(request, random_seed() if request.seed is None else request.seed)


def _first(order: Order) -> Progress:
    """How far an order is before it has begun."""
    if order.given is not None:
        return Progress(stage="fine", network=order.network, steps=fine_steps_of(order))
    return Progress(step=order.ddim_steps - order.coarse_steps, steps=order.ddim_steps, network=order.network)


def part_of(most: int, number: int, processes: int) -> int:
    """The part of a limit that one of several HTTP processes has, which are counted from 0."""
    return most // processes + (number < most % processes)


def _draining() -> Draining:
    return Draining("The service is stopping: send the request again in a few seconds.", retry_after=RETRY_DRAINING)
