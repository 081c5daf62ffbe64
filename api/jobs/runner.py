"""Runs jobs in an HTTP process, a few at a time, alongside the requests of waiting clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from api.errors import JobCrashed, JobsUnavailable, JobUnreadable, ModelsChanged, problem_of
from api.generation.events import CoarseMade, Event, Stepped
from api.generation.generator import Generator, Saved
from api.given import kept_request
from api.jobs.models import models_of, weights_for
from api.jobs.record import Record, unreadable
from api.jobs.store import OFFER_SECONDS, Place, Store
from api.messages import Order
from api.parsing import sentence_of
from api.telemetry import metrics
from models.errors import StateError, XCubeError
from models.shape import Shape

T = TypeVar("T")
log = logging.getLogger("xcube.jobs")
PERIOD = 1.0
"""Seconds between two looks for work, and between two savings of a state."""
_LONGEST_PAUSE = 30.0
"""Between two tries to end a job, while the store cannot be used."""
_LEAVING = 15.0
"""For saving jobs and handing them back when the service ends."""
_TENDING = 60.0
_NEW_STARTS = 3
"""How often a job starts again because nobody can read its state, before it fails."""
MOST_DEATHS = 3
"""Processes that may die with a job before nobody takes it up any more."""


class _LostError(Exception):
    """The job is no longer this process's: it was canceled, or another process has taken it up."""


class Runner:
    """Takes jobs, runs them to their end, and saves them on the way.

    A store that cannot be used ends no job: it goes on, is saved when that can be done again, and ends only then.
    """

    def __init__(self, generator: Generator, store: Store, most: int, retention: float) -> None:
        self._generator = generator
        self._store = store
        self._most = most
        self._retention = retention
        self._owner = uuid.uuid4().hex
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Says that there is a new job."""
        self._news.set()

    def drop(self, id_: str) -> None:
        """Stops a job that was canceled, if it runs here."""
        if task := self._tasks.get(id_):
            task.cancel()

    async def run(self) -> None:
        """Looks for jobs until it is cancelled."""
        loop = asyncio.get_running_loop()
        tended, offered = loop.time() - _TENDING, loop.time() - OFFER_SECONDS
        while True:
            models = self._models()
            if models is not None and loop.time() - offered >= OFFER_SECONDS:
                offered = loop.time()
                with contextlib.suppress(JobsUnavailable):  # what only reads goes on
                    await self._store.offer(models, self._retention)
            try:
                if loop.time() - tended >= min(_TENDING, self._retention):
                    tended = loop.time()
                    await self._store.tend(self._retention)
                survey = await self._store.survey(self._owner)
                metrics.jobs(survey.counts, survey.waiting, survey.oldest)
                await self._take()
            except JobsUnavailable:
                pass  # the store has told the log
            except Exception:
                log.exception("looking for jobs failed")
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), PERIOD)

    async def stop(self) -> None:
        """Hands running jobs back, saved as they are, and takes no more."""
        self._stopping = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LEAVING)  # a store that hangs does not keep the service from ending

    def _models(self) -> str | None:
        """What this service has now; None while it cannot run jobs."""
        monitor = self._generator.monitor
        return models_of(monitor.status) if monitor.health.status == "ready" else None

    async def _take(self) -> None:
        while (models := self._models()) is not None and len(self._tasks) < self._most:
            if self._stopping or (record := await self._store.claim(self._owner, models)) is None:
                return
            metrics.job_attempted()
            task = asyncio.create_task(self._work(record))
            self._tasks[record.id] = task
            task.add_done_callback(partial(self._end, record.id))

    def _end(self, id_: str, _: asyncio.Task[None]) -> None:
        del self._tasks[id_]
        self._news.set()

    async def _work(self, record: Record) -> None:
        id_ = record.id
        try:
            job = _Job(id_, _order(record))
            try:
                await self._finish(job, await self._result(job))
            except asyncio.CancelledError:
                await asyncio.shield(self._leave(job))
                raise
        except _LostError:
            await self._forget(id_)
        except ModelsChanged as error:
            log.warning("job %s waits for a service with its models: %s", id_, error)
            await asyncio.sleep(PERIOD)
            await self._generator.monitor.refresh()
            await _until_done(lambda: self._store.hand_back(id_, self._owner))
        except Exception as error:
            if not isinstance(error, XCubeError):
                log.exception("a bug in job %s", id_)
            problem = problem_of(error)
            await _until_done(lambda: self._store.fail(id_, self._owner, problem.code, problem.error))
            with contextlib.suppress(JobsUnavailable):
                await self._store.clear(id_)

    async def _result(self, job: _Job) -> Shape:
        saved = await _until_done(lambda: self._store.load(job.id), meanwhile=lambda: self._beat(job))
        for _ in range(_NEW_STARTS):
            try:
                return await self._generate(job, saved)
            except StateError as error:  # another version has saved it
                log.warning("job %s starts anew: %s", job.id, error)
            saved = None
        return await self._generate(job, None)

    async def _generate(self, job: _Job, saved: Saved | None) -> Shape:
        job.start(saved)
        work = asyncio.create_task(self._generator.run_job(job.order, job.report, saved))
        try:
            while not (await asyncio.wait({work}, timeout=PERIOD))[0]:
                await self._save(job)
            return work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _save(self, job: _Job) -> None:
        saved = job.reached
        if saved is not None and saved is not job.saved:
            with contextlib.suppress(JobsUnavailable):  # it is saved the next time
                call = self._store.save(job.id, self._owner, saved, job.saved)
                await _beside(call, meanwhile=lambda: self._beat(job))
                job.saved = saved
        await self._beat(job)

    async def _beat(self, job: _Job) -> None:
        saved = job.reached
        place = Place(saved.progress.stage, saved.progress.step, saved.progress.steps) if saved else None
        try:
            mine = await self._store.beat(job.id, self._owner, place)
        except JobsUnavailable:
            return
        if not mine:
            raise _LostError

    async def _finish(self, job: _Job, result: Shape) -> None:
        mine = await _until_done(
            lambda: self._store.finish(job.id, self._owner, result), meanwhile=lambda: self._beat(job)
        )
        if not mine:
            raise _LostError

    async def _leave(self, job: _Job) -> None:
        try:
            await self._save(job)
            await self._store.hand_back(job.id, self._owner)
        except _LostError:
            await self._forget(job.id)
        except JobsUnavailable:
            log.warning("job %s could not be handed back: another process takes it up later", job.id)

    async def _forget(self, id_: str) -> None:
        with contextlib.suppress(JobsUnavailable):
            record = await self._store.get(id_)
            if record is None or record.state == "canceled":
                await self._store.clear(id_)


class _Job:
    """A job that runs here, and how far it is."""

    def __init__(self, id_: str, order: Order) -> None:
        self.id = id_
        self.order = order
        self.start(None)

    def start(self, saved: Saved | None) -> None:
        """Begins at a saved state, or from the start."""
        self.reached = self.saved = saved
        self._coarse = saved.coarse if saved else None
        self._warnings = saved.warnings if saved else ()

    def report(self, event: Event) -> None:
        """Takes in what happens in the generation."""
        match event:
            case Stepped():
                self._warnings += event.progress.warnings
                self.reached = Saved(event.progress, self._coarse, self._warnings)
            case CoarseMade():
                self._coarse = event.voxels


def _order(record: Record) -> Order:
    """What a job asks for.

    Raises:
        JobUnreadable: Its record makes no sense.
        JobCrashed: It has ended too many processes.
    """
    if record.error is not None:
        raise JobUnreadable(record.error)
    if record.deaths >= MOST_DEATHS:
        raise JobCrashed(
            f"{record.deaths} processes of the service ended while they worked on this job, so it is not tried again: "
            "tell the operator its id, or try other parameters."
        )
    try:
        return Order.of(kept_request(record.request), record.seed, weights_for(record.models))
    except ValidationError as error:
        raise JobUnreadable(unreadable(f"request: {sentence_of(error)}")) from None


async def _beside(call: Awaitable[T], meanwhile: Callable[[], Awaitable[None]]) -> T:
    """What a call of the store gives, however long it takes; `meanwhile` is called every second."""
    work = asyncio.ensure_future(call)
    try:
        while not (await asyncio.wait({work}, timeout=PERIOD))[0]:
            await meanwhile()
        return work.result()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _nothing() -> None:
    """For calls while which nothing has to be done."""


async def _until_done(call: Callable[[], Awaitable[T]], meanwhile: Callable[[], Awaitable[None]] = _nothing) -> T:
    """What a call of the store gives, tried until the store can be used; `meanwhile` is called every second."""
    loop, pause = asyncio.get_running_loop(), PERIOD
    while True:
        with contextlib.suppress(JobsUnavailable):
            return await _beside(call(), meanwhile)
        end = loop.time() + pause
        while loop.time() < end:
            await asyncio.sleep(PERIOD)
            await meanwhile()
        pause = min(2 * pause, _LONGEST_PAUSE)
