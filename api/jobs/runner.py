"""Runs jobs in an HTTP process, a few at a time, alongside the requests of waiting clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from functools import partial

from api.errors import ModelsChanged, problem_of
from api.generation.events import CoarseMade, Event, Stepped
from api.generation.generator import Generator, Saved
from api.jobs.files import Files
from api.jobs.records import Record, Records
from api.messages import Order
from api.schemas import GenerateRequest
from api.telemetry import metrics
from models.errors import StateError, XCubeError
from models.shape import Shape

log = logging.getLogger("xcube.jobs")
PERIOD = 1.0
"""Seconds between two looks for work, and between two savings of a state."""
_REAPING = 60.0
_NEW_STARTS = 3
"""How often a job starts again because its models were replaced, before it fails."""


class _LostError(Exception):
    """The job is no longer this process's: it was canceled, or another process has taken it up."""


class Runner:
    """Takes jobs, runs them to their end, and saves them on the way."""

    def __init__(self, generator: Generator, records: Records, files: Files, most: int, retention: float) -> None:
        self._generator = generator
        self._records = records
        self._files = files
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
        reaped = loop.time() - _REAPING
        while True:
            try:
                if loop.time() - reaped >= min(_REAPING, self._retention):
                    await asyncio.to_thread(self._reap)
                    reaped = loop.time()
                await self._take()
                metrics.jobs_waiting(await asyncio.to_thread(self._records.waiting))
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
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self) -> None:
        while self._generator.monitor.health.status == "ready" and len(self._tasks) < self._most:
            if self._stopping or (record := await asyncio.to_thread(self._records.claim, self._owner)) is None:
                return
            task = asyncio.create_task(self._work(record))
            self._tasks[record.id] = task
            task.add_done_callback(partial(self._end, record.id))

    def _end(self, id_: str, _: asyncio.Task[None]) -> None:
        del self._tasks[id_]
        self._news.set()

    async def _work(self, record: Record) -> None:
        request = GenerateRequest.model_validate_json(record.request)
        job = _Job(record.id, Order.of(request, int(record.seed)))
        try:
            await asyncio.to_thread(self._finish, job, await self._result(job))
        except _LostError:
            await asyncio.to_thread(self._forget, job)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self._leave, job))
            raise
        except Exception as error:
            if not isinstance(error, XCubeError):
                log.exception("a bug in job %s", job.id)
            problem = problem_of(error)
            await asyncio.to_thread(self._records.fail, job.id, self._owner, problem.code, problem.error)
            await asyncio.to_thread(self._files.remove, job.id)

    async def _result(self, job: _Job) -> Shape:
        saved = await asyncio.to_thread(self._files.load, job.id)
        for _ in range(_NEW_STARTS):
            try:
                return await self._generate(job, saved)
            except (StateError, ModelsChanged) as error:  # saved by another version, or made by other weights
                log.warning("job %s starts anew: %s", job.id, error)
            saved = None
        return await self._generate(job, None)

    async def _generate(self, job: _Job, saved: Saved | None) -> Shape:
        if saved is None:
            await asyncio.to_thread(self._files.remove, job.id)  # a coarse shape of an earlier start is not this one's
        job.start(saved)
        work = asyncio.create_task(self._generator.run_job(job.order, job.report, saved))
        try:
            while not (await asyncio.wait({work}, timeout=PERIOD))[0]:
                await asyncio.to_thread(self._save, job)
            return work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def _save(self, job: _Job) -> None:
        saved = job.reached
        if saved is not None and saved is not job.saved:
            self._files.save(job.id, saved)
            job.saved = saved
        place = (saved.progress.stage, saved.progress.step, saved.progress.steps) if saved else (None, None, None)
        if not self._records.beat(job.id, self._owner, *place):
            raise _LostError

    def _finish(self, job: _Job, result: Shape) -> None:
        self._files.finish(job.id, result)
        if not self._records.complete(job.id, self._owner, json.dumps(result.warnings)):
            self._forget(job)

    def _leave(self, job: _Job) -> None:
        try:
            self._save(job)
            self._records.hand_back(job.id, self._owner)
        except _LostError:
            self._forget(job)

    def _forget(self, job: _Job) -> None:
        record = self._records.get(job.id)
        if record is None or record.state == "canceled":
            self._files.remove(job.id)

    def _reap(self) -> None:
        for id_ in self._records.expired(self._retention):
            self._files.remove(id_)
            self._records.remove(id_)


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
