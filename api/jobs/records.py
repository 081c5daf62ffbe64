"""Jobs as rows of an SQLite database, which all HTTP processes of a service share."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["pending", "in_progress", "completed", "failed", "canceled"]
ENDED: tuple[State, ...] = ("completed", "failed", "canceled")
LEASE_SECONDS = 10.0
"""A job whose process has not been heard of for so long may be taken up by another."""
_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, idempotency_key TEXT UNIQUE, request TEXT NOT NULL,
    seed TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending', owner TEXT, seen REAL NOT NULL DEFAULT 0,
    created REAL NOT NULL, started REAL, ended REAL, stage TEXT, step INTEGER, steps INTEGER,
    code TEXT, error TEXT, warnings TEXT NOT NULL DEFAULT '[]'
)
"""


@dataclass(frozen=True)
class Record:
    """One job. Times are Unix seconds; request and warnings are JSON; stage, step, steps are how far it is."""

    number: int
    id: str
    idempotency_key: str | None
    request: str
    seed: str
    state: State
    owner: str | None
    seen: float
    created: float
    started: float | None
    ended: float | None
    stage: str | None
    step: int | None
    steps: int | None
    code: str | None
    error: str | None
    warnings: str


class Records:
    """The table of jobs. Every method is one transaction; call them outside of the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(_SCHEMA)

    def add(self, request: str, seed: int, key: str | None, most_pending: int) -> Record | None:
        """A new job, or the one that has this idempotency key already; None if too many are pending."""
        with self._open() as database:
            if key is not None and (found := _one(database, "SELECT * FROM jobs WHERE idempotency_key = ?", key)):
                return found
            (pending,) = database.execute("SELECT count(*) FROM jobs WHERE state = 'pending'").fetchone()
            if pending >= most_pending:
                return None
            return _one(
                database,
                "INSERT INTO jobs (id, idempotency_key, request, seed, created) VALUES (?, ?, ?, ?, ?) RETURNING *",
                uuid.uuid4().hex, key, request, str(seed), time.time(),
            )  # fmt: skip

    def get(self, id_: str) -> Record | None:
        """The job with an id."""
        with self._open() as database:
            return _one(database, "SELECT * FROM jobs WHERE id = ?", id_)

    def waiting(self) -> int:
        """How many jobs are pending."""
        with closing(self._connect()) as database:
            return int(database.execute("SELECT count(*) FROM jobs WHERE state = 'pending'").fetchone()[0])

    def position(self, record: Record) -> int:
        """Place of a pending job in the queue; 1 is the next."""
        with self._open() as database:
            query = "SELECT count(*) FROM jobs WHERE state = 'pending' AND number <= ?"
            return int(database.execute(query, (record.number,)).fetchone()[0])

    def claim(self, owner: str) -> Record | None:
        """The oldest job that waits, or whose process has died; it is the owner's from now on."""
        now = time.time()
        with self._open() as database:
            return _one(
                database,
                "UPDATE jobs SET state = 'in_progress', owner = ?, seen = ?, started = coalesce(started, ?) "
                "WHERE number = (SELECT min(number) FROM jobs WHERE state = 'pending' "
                "OR (state = 'in_progress' AND seen < ?)) RETURNING *",
                owner, now, now, now - LEASE_SECONDS,
            )  # fmt: skip

    def beat(self, id_: str, owner: str, stage: str | None, step: int | None, steps: int | None) -> bool:
        """Says that a job's owner lives and how far it is. False if the job is the owner's no more."""
        return self._change(
            id_, owner, "seen = ?, stage = coalesce(?, stage), step = coalesce(?, step), steps = coalesce(?, steps)",
            time.time(), stage, step, steps,
        )  # fmt: skip

    def hand_back(self, id_: str, owner: str) -> bool:
        """Makes an owner's job pending again, for another process."""
        return self._change(id_, owner, "state = 'pending', owner = NULL")

    def complete(self, id_: str, owner: str, warnings: str) -> bool:
        """Ends an owner's job with a result."""
        return self._change(id_, owner, "state = 'completed', ended = ?, warnings = ?", time.time(), warnings)

    def fail(self, id_: str, owner: str, code: str, error: str) -> bool:
        """Ends an owner's job with an error."""
        return self._change(id_, owner, "state = 'failed', ended = ?, code = ?, error = ?", time.time(), code, error)

    def cancel(self, id_: str) -> bool:
        """Ends a job that waits or runs. False if there is none, or it has ended already."""
        query = "UPDATE jobs SET state = 'canceled', ended = ? WHERE id = ? AND state IN ('pending', 'in_progress')"
        with self._open() as database:
            return database.execute(query, (time.time(), id_)).rowcount == 1

    def remove(self, id_: str) -> None:
        """Forgets a job that has ended."""
        with self._open() as database:
            database.execute("DELETE FROM jobs WHERE id = ? AND state NOT IN ('pending', 'in_progress')", (id_,))

    def expired(self, seconds: float) -> list[str]:
        """Ids of the jobs that ended so long ago."""
        with self._open() as database:
            rows = database.execute("SELECT id FROM jobs WHERE ended < ?", (time.time() - seconds,)).fetchall()
        return [id_ for (id_,) in rows]

    def _change(self, id_: str, owner: str, assignments: str, *values: Any) -> bool:
        query = f"UPDATE jobs SET {assignments} WHERE id = ? AND owner = ? AND state = 'in_progress'"
        with self._open() as database:
            return database.execute(query, (*values, id_, owner)).rowcount == 1

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)


def _one(database: sqlite3.Connection, query: str, *values: Any) -> Record | None:
    row = database.execute(query, values).fetchone()
    return Record(*row) if row else None
