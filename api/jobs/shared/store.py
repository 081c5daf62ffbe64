"""The store of several services, as `api.jobs.store.Store` asks for it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from api.generation.generator import Saved
from api.jobs.faults import GONE, Faults, result_gone
from api.jobs.record import Record, State
from api.jobs.results import packed
from api.jobs.shared.database import Database
from api.jobs.shared.kept import Kept
from api.jobs.shared.objects import Objects
from api.jobs.shared.records import Records
from api.jobs.shared.room import Room
from api.jobs.store import NewJob, Place, Survey
from api.jobs.watch import Watch
from api.threads import Threads
from models.shape import Shape

T = TypeVar("T")
log = logging.getLogger("xcube.jobs")
PATIENCE_WITH_FILES = 60.0
_SWEEPING = 3600.0


class SharedStore:
    """Records in PostgreSQL, everything else as objects. `Store` tells what each method raises.

    Args:
        url: Address of the database.
        objects: Keeps states and results.
        arithmetic: Tells what changes the bytes of a result besides the request, as it is now.
        max_bytes: What all states and results may take.
        max_voxels: Most voxels of a shape, coarse or fine.
    """

    def __init__(
        self, url: str, objects: Objects, arithmetic: Callable[[], str], max_bytes: int, max_voxels: int
    ) -> None:
        self._databases = Database(url, 2), Database(url, 3)
        self._records = Records(*self._databases)
        self._objects = objects
        self._kept = Kept(objects, arithmetic)
        self._room = Room(self._records, max_bytes, max_voxels)
        self._watch = Watch()
        self._dead: dict[str, tuple[str, int]] = {}
        self._faults = Faults("the database of XCUBE_JOBS_URL and to XCUBE_RESULTS_URL; the log says what is wrong.")
        self._known = False
        self._swept = time.monotonic() - _SWEEPING
        # Jobs that run do not wait for clients.
        self._reading, self._running = Threads("jobs reading", 2, 64), Threads("jobs running", 4, 1024)

    async def add(self, job: NewJob, most_waiting: int) -> Record | None:
        """A new job, or the one that has this idempotency key already."""

        async def work() -> Record | None:
            known = await self._records.known(job.key) if job.key else None
            if known is None:
                await self._room.check()
            return known or await self._records.add(job, most_waiting)

        return await self._call(work())

    async def get(self, id_: str) -> Record | None:
        """The job with an id."""
        return await self._call(self._records.get(id_))

    async def position(self, record: Record) -> int | None:
        """Place of a waiting job in the queue."""
        return await self._call(self._records.position(record))

    async def find(self, client: str | None, state: State | None, before: int | None, most: int) -> list[Record]:
        """Jobs of a client, the latest first."""
        return await self._call(self._records.find(client, state, before, most))

    async def survey(self, owner: str) -> Survey:
        """Counts all jobs, and notices which owners do not beat any more.

        Jobs of its own are among those that it watches: the answer to a claim may have been lost on the way.
        """

        async def work() -> Survey:
            self._dead = self._watch.look(await self._records.beats(), time.monotonic())
            return await self._records.survey()

        survey = await self._call(work())
        self._faults.none()
        return survey

    async def offer(self, models: str, retention: float) -> None:
        """Says that there is a service with some models."""
        await self._call(self._records.offer(models, retention))

    async def claim(self, owner: str, models: str) -> Record | None:
        """The next job for some models that waits, or whose owner has died."""

        async def work() -> Record | None:
            if self._dead:
                await self._records.release(self._dead)
                self._dead = {}
            return await self._records.claim(owner, models)

        return await self._call(work())

    async def beat(self, id_: str, owner: str, place: Place | None) -> bool:
        """Says that a job's owner lives and how far the job is."""
        return await self._call(self._records.beat(id_, owner, place))

    async def hand_back(self, id_: str, owner: str) -> bool:
        """Makes an owner's job wait again."""
        return await self._call(self._records.hand_back(id_, owner))

    async def save(self, id_: str, owner: str, saved: Saved, previous: Saved | None) -> None:
        """Keeps the state of an owner's job."""

        async def work() -> None:
            await self._check_place()
            if not await self._records.is_mine(id_, owner):
                return  # what another process has saved since then is not overwritten
            await self._make_room(len(saved.progress.state) + len(saved.coarse or b""))
            size = await self._in_threads(lambda: self._kept.save(id_, owner, saved, previous))
            await self._records.saved(id_, owner, size)

        await self._call(work())

    async def load(self, id_: str) -> Saved | None:
        """The state that was saved."""

        async def work() -> Saved | None:
            await self._check_place()
            record = await self._records.get(id_)
            if record is None or record.keeper is None:
                return None
            keeper = record.keeper
            try:
                return await self._in_threads(lambda: self._kept.load(id_, keeper))
            except GONE:
                await self._check_place(again=True)
                return None

        return await self._call(work())

    async def finish(self, id_: str, owner: str, result: Shape) -> bool:
        """Ends an owner's job with its shapes."""

        async def work() -> bool:
            await self._check_place()
            shapes = await self._in_threads(lambda: packed(result))
            size = sum(map(len, shapes.values()))
            await self._make_room(size)
            await self._in_threads(lambda: self._kept.keep(id_, owner, shapes))
            if not await self._records.complete(id_, owner, result.warnings, tuple(shapes), size):
                return False
            with contextlib.suppress(OSError):  # it is not needed any more, and goes with the job at the latest
                await self._in_threads(lambda: self._kept.remove(id_, but_the_result_of=owner))
            return True

        return await self._call(work())

    async def fail(self, id_: str, owner: str, code: str, error: str) -> bool:
        """Ends an owner's job with an error."""
        return await self._call(self._records.fail(id_, owner, code, error))

    async def cancel(self, id_: str) -> bool:
        """Ends a job that waits or runs."""
        return await self._call(self._records.cancel(id_))

    async def clear(self, id_: str) -> None:
        """Deletes the files of a job."""

        async def work() -> None:
            await self._in_threads(lambda: self._kept.remove(id_))
            await self._records.without_files(id_)

        await self._call(work())

    async def remove(self, id_: str) -> None:
        """Deletes the files of a job, and its record if it has ended."""

        async def work() -> None:
            await self._in_threads(lambda: self._kept.remove(id_))
            await self._records.remove(id_)

        await self._call(work())

    async def result(self, record: Record) -> Shape:
        """The shapes of a completed job."""

        async def work() -> Shape:
            await self._check_place()
            try:
                return await self._reading.run(lambda: self._kept.result(record), PATIENCE_WITH_FILES)
            except GONE as error:
                await self._check_place(again=True)
                raise result_gone(record, error) from None

        return await self._call(work())

    async def deliveries(self, most: int, lease: float) -> list[Record]:
        """Jobs whose webhooks are due."""
        return await self._call(self._records.deliveries(most, lease))

    async def delivered(self, id_: str, again: float | None) -> None:
        """Has the webhook of a job tried again, or never again."""
        await self._call(self._records.delivered(id_, again))

    async def tend(self, retention: float) -> None:
        """Forgets what expired, and what nobody needs."""

        async def work() -> None:
            await self._check_place()
            for id_ in await self._records.expired(retention, self._room.most_ended):
                await self._in_threads(lambda id_=id_: self._kept.remove(id_))  # type: ignore[misc]  # bound now
                await self._records.remove(id_)
            await self._make_room(0)
            if time.monotonic() - self._swept >= _SWEEPING:
                await self._sweep()
                self._swept = time.monotonic()

        await self._call(work())

    async def close(self) -> None:
        """Ends the connections to the database, and the threads."""
        for database in self._databases:
            await database.close()
        for threads in (self._reading, self._running):
            threads.end()

    async def _sweep(self) -> None:
        """Deletes files of jobs that have no record: their process died between the two."""
        left = await self._in_threads(self._kept.left)
        known = await self._records.known_ids(left)
        for id_ in set(left) - known:
            await self._in_threads(lambda id_=id_: self._kept.remove(id_))  # type: ignore[misc]  # bound now

    async def _make_room(self, needed: int) -> None:
        for id_ in await self._room.make(needed):
            await self._in_threads(lambda id_=id_: self._kept.remove(id_))  # type: ignore[misc]  # bound now

    async def _check_place(self, *, again: bool = False) -> None:
        """Lets pass where files are kept that all others keep, and looks `again` where one is missing.

        What lies on a disk that is not mounted now is not lost.
        """
        self._known = self._known and not again
        if not self._known:
            name, empty = await self._records.place()
            await self._in_threads(lambda: self._kept.check(name, empty=empty))
            self._known = True

    async def _in_threads(self, work: Callable[[], T]) -> T:
        return await self._running.run(work, PATIENCE_WITH_FILES)

    async def _call(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except OSError as error:
            raise self._faults.refusal(error) from error
