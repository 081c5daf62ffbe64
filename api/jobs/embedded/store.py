"""The store of one machine, as `api.jobs.store.Store` asks for it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from api.generation.generator import Saved
from api.jobs import snapshots
from api.jobs.embedded.files import Files
from api.jobs.embedded.records import Records
from api.jobs.embedded.room import Room
from api.jobs.faults import FULL, GONE, Faults, result_gone
from api.jobs.record import Record, State
from api.jobs.results import packed, unpacked
from api.jobs.store import NewJob, Place, Survey
from api.jobs.watch import Watch
from api.threads import Threads
from models.shape import Shape, Voxels

T = TypeVar("T")
log = logging.getLogger("xcube.jobs")
PATIENCE = 6.0
"""Seconds for a call about records. A client that reads a result, and whoever keeps one, has more."""
PATIENCE_WITH_FILES = 60.0
_UNKNOWN = 3600.0
"""Seconds for which files are kept that no job is known for: somebody may put the database back."""


class EmbeddedStore:
    """Records in an SQLite database, everything else in files beside it. `Store` tells what each method raises.

    Args:
        folder: Where they lie. It is made if it is not there, now or whenever it is gone.
        arithmetic: Tells what changes the last bits of a result besides the weights, as the Sampler says now.
        max_bytes: What the folder may take.
        max_voxels: Most voxels of a shape, coarse or fine.
    """

    def __init__(self, folder: Path, arithmetic: Callable[[], str], max_bytes: int, max_voxels: int) -> None:
        self._arithmetic = arithmetic
        self._records = Records(folder / "jobs.sqlite")
        self._files = Files(folder)
        self._room = Room(self._files, self._records, max_bytes, max_voxels)
        self._watch = Watch()
        self._dead: dict[str, tuple[str, int]] = {}
        # Who reads does not wait for who writes, and jobs that run do not wait for clients.
        self._reading, self._writing = Threads("jobs reading", 2, 64), Threads("jobs writing", 2, 64)
        self._running = Threads("jobs running", 4, 1024)
        self._faults = Faults("the folder XCUBE_JOBS_DIR; the log says what is wrong with it.")

    async def add(self, job: NewJob, most_waiting: int) -> Record | None:
        """A new job, or the one that has this idempotency key already."""

        def work() -> Record | None:
            known = self._records.known(job.key) if job.key else None
            if known is None:
                self._room.check()
            return known or self._records.add(job, most_waiting)

        return await self._call(self._writing, work)

    async def get(self, id_: str) -> Record | None:
        """The job with an id."""
        return await self._call(self._reading, lambda: self._records.get(id_))

    async def position(self, record: Record) -> int | None:
        """Place of a waiting job in the queue."""
        return await self._call(self._reading, lambda: self._records.position(record))

    async def find(self, client: str | None, state: State | None, before: int | None, most: int) -> list[Record]:
        """Jobs of a client, the latest first."""
        return await self._call(self._reading, lambda: self._records.find(client, state, before, most))

    async def survey(self, owner: str) -> Survey:
        """Counts all jobs, and notices which owners do not beat any more."""

        def work() -> Survey:
            self._dead = self._watch.look(self._records.beats(owner), time.monotonic())
            return self._records.survey()

        survey = await self._call(self._running, work)
        self._faults.none()
        return survey

    async def offer(self, models: str, retention: float) -> None:
        """Says that there is a service with some models."""
        await self._call(self._running, lambda: self._records.offer(models, retention))

    async def claim(self, owner: str, models: str) -> Record | None:
        """The oldest job for some models that waits, or whose owner has died."""
        return await self._call(self._running, lambda: self._records.claim(owner, models, self._dead))

    async def beat(self, id_: str, owner: str, place: Place | None) -> bool:
        """Says that a job's owner lives and how far the job is."""
        return await self._call(self._running, lambda: self._records.beat(id_, owner, place))

    async def hand_back(self, id_: str, owner: str) -> bool:
        """Makes an owner's job wait again."""
        return await self._call(self._running, lambda: self._records.hand_back(id_, owner))

    async def save(self, id_: str, owner: str, saved: Saved, previous: Saved | None) -> None:
        """Keeps the state of an owner's job."""

        def work() -> None:
            record = self._records.get(id_)
            if record is None or (record.state, record.owner) != ("in_progress", owner):
                return  # what another process has saved since then is not overwritten
            state = snapshots.pack(saved, self._arithmetic())
            coarse = saved.coarse if previous is None or previous.coarse is not saved.coarse else None
            self._room.make(len(state) + len(coarse or b""))
            if coarse is not None:
                self._files.write(id_, "coarse", coarse)
            self._files.write(id_, "state", state)

        await self._call(self._running, work, PATIENCE_WITH_FILES)

    async def load(self, id_: str) -> Saved | None:
        """The state that was saved."""

        def work() -> Saved | None:
            try:
                state = self._files.read(id_, "state")
            except GONE:
                return None
            try:
                coarse = self._files.read(id_, "coarse")
            except GONE:
                coarse = None
            return snapshots.unpack(state, self._arithmetic(), coarse)

        return await self._call(self._running, work, PATIENCE_WITH_FILES)

    async def finish(self, id_: str, owner: str, result: Shape) -> bool:
        """Ends an owner's job with its shapes."""

        def work() -> bool:
            shapes = packed(result)
            self._room.make(sum(map(len, shapes.values())))
            for kind, data in shapes.items():
                self._files.write(id_, kind, data)
            mine = self._with_the_reserve(lambda: self._records.complete(id_, owner, result.warnings, tuple(shapes)))
            if mine:
                with contextlib.suppress(OSError):  # it is not needed any more, and goes with the job at the latest
                    self._files.remove(id_, ["state"])
            return mine

        return await self._call(self._running, work, PATIENCE_WITH_FILES)

    async def fail(self, id_: str, owner: str, code: str, error: str) -> bool:
        """Ends an owner's job with an error."""

        def work() -> bool:
            return self._with_the_reserve(lambda: self._records.fail(id_, owner, code, error))

        return await self._call(self._running, work)

    async def cancel(self, id_: str) -> bool:
        """Ends a job that waits or runs."""
        return await self._call(self._writing, lambda: self._with_the_reserve(lambda: self._records.cancel(id_)))

    async def clear(self, id_: str) -> None:
        """Deletes the files of a job."""
        await self._call(self._running, lambda: self._files.remove(id_))

    async def remove(self, id_: str) -> None:
        """Deletes the files of a job, and its record if it has ended."""

        def work() -> None:
            self._files.remove(id_)  # first: it makes room for the rest
            self._with_the_reserve(lambda: self._records.remove(id_))

        await self._call(self._writing, work)

    async def result(self, record: Record) -> Shape:
        """The shapes of a completed job."""

        def work() -> Shape:
            try:
                if record.kinds is None:
                    return self._result_without_checksums(record)
                return unpacked(record, lambda kind: self._files.read(record.id, kind))
            except GONE as error:
                raise result_gone(record, error) from None

        return await self._call(self._reading, work, PATIENCE_WITH_FILES)

    async def deliveries(self, most: int, lease: float) -> list[Record]:
        """Jobs whose webhooks are due."""
        return await self._call(self._running, lambda: self._records.deliveries(most, lease))

    async def delivered(self, id_: str, again: float | None) -> None:
        """Has the webhook of a job tried again, or never again."""
        await self._call(self._running, lambda: self._records.delivered(id_, again))

    async def tend(self, retention: float) -> None:
        """Forgets what expired, and what nobody needs."""

        def work() -> None:
            for id_ in self._records.expired(retention, self._room.most_ended):
                self._files.remove(id_)
                self._with_the_reserve(lambda id_=id_: self._records.remove(id_))  # type: ignore[misc]  # bound now
            self._files.sweep(self._records.ids(), _UNKNOWN)
            self._room.tend()

        await self._call(self._running, work, PATIENCE_WITH_FILES)

    async def close(self) -> None:
        """Ends the threads, and with them the connections to the database."""
        for threads in (self._reading, self._writing, self._running):
            threads.end(self._records.close)

    def _result_without_checksums(self, record: Record) -> Shape:
        coarse = Voxels.from_bytes(self._files.read_unsealed(record.id, "coarse"))
        try:
            fine = Voxels.from_bytes(self._files.read_unsealed(record.id, "fine"))
        except FileNotFoundError:
            fine = None
        return Shape(coarse, fine, record.seed, record.warnings)

    def _with_the_reserve(self, work: Callable[[], T]) -> T:
        """What some work gives that a full disk must not be in the way of."""
        try:
            return work()
        except OSError as error:
            if error.errno not in FULL or not self._files.release():
                raise
        return work()

    async def _call(self, threads: Threads, work: Callable[[], T], patience: float = PATIENCE) -> T:
        try:
            return await threads.run(work, patience)
        except OSError as error:
            raise self._faults.refusal(error, room_needed=threads is not self._reading) from error
