"""The table of jobs: every statement of SQL that the store makes."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from api.jobs.embedded.database import Database
from api.jobs.models import GONE
from api.jobs.record import Record, State, record_of
from api.jobs.store import OFFERED_SECONDS, NewJob, Place, Survey, check_own

_ENDED = "state NOT IN ('pending', 'in_progress')"
"""Whatever else a row may say, its job does not wait or run."""
_TURN = """
max(
    coalesce(
        (SELECT max(turn) FROM jobs WHERE state = 'in_progress'),
        (SELECT min(turn) FROM jobs WHERE state = 'pending'),
        0
    ),
    coalesce((SELECT max(turn + cost) FROM jobs WHERE share IS ?1 AND state IN ('pending', 'in_progress')), 0)
)
"""
"""Of a new job; see `Store.add`."""
_OFFER = "INSERT INTO offers (models, seen) VALUES (?, ?) ON CONFLICT (models) DO UPDATE SET seen = excluded.seen"
_OFFERED = "(models IS NULL OR models IN (SELECT models FROM offers WHERE seen > ?1))"
"""A service has the models of a job."""


class Records:
    """The table. Every method is one transaction, or queries alone; each may raise OSError. Call them in threads."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)

    def close(self) -> None:
        """Closes this thread's connection to the database."""
        self._database.close()

    def known(self, key: str) -> Record | None:
        """The job that has an idempotency key."""
        return self._one("SELECT * FROM jobs WHERE idempotency_key = ?", key)

    def add(self, job: NewJob, most_waiting: int) -> Record | None:
        """A new job, or the one that has this idempotency key already; None if too many wait."""

        def work(database: sqlite3.Connection) -> Record | None:
            found = _one(database, "SELECT * FROM jobs WHERE idempotency_key = ?", job.key) if job.key else None
            if found is not None:
                return found
            (waiting,) = database.execute("SELECT count(*) FROM jobs WHERE state = 'pending'").fetchone()
            if waiting >= most_waiting:
                return None
            if job.most_own is not None:
                own = "SELECT count(*) FROM jobs WHERE state = 'pending' AND client IS ?"
                check_own(database.execute(own, (job.client,)).fetchone()[0], job.most_own)
            if job.models is not None:  # who accepts a job has its models
                database.execute(_OFFER, (job.models, time.time()))
            return _one(
                database,
                "INSERT INTO jobs (share, cost, turn, id, idempotency_key, client, request, seed, created, models, "
                f"webhook) VALUES (?1, ?2, {_TURN}, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING *",
                job.share, job.cost, job.id, job.key, job.client, job.request, str(job.seed), time.time(), job.models,
                job.webhook,
            )  # fmt: skip

        return self._database.write(work)

    def get(self, id_: str) -> Record | None:
        """The job with an id."""
        return self._one("SELECT * FROM jobs WHERE id = ?", id_)

    def position(self, record: Record) -> int | None:
        """How many jobs wait up to one, for the same models or for any; None if nobody offers its models."""
        offered = "SELECT 1 FROM offers WHERE models = ? AND seen > ?"
        query = (
            "SELECT count(*) FROM jobs WHERE state = 'pending' AND (turn, number) <= (?3, ?1) "
            "AND (models IS NULL OR ?2 IS NULL OR models = ?2)"
        )

        def work(database: sqlite3.Connection) -> int | None:
            known = record.models is None or database.execute(offered, (record.models, _oldest_offer())).fetchone()
            if not known:
                return None
            (position,) = database.execute(query, (record.number, record.models, record.turn)).fetchone()
            return int(position)

        return self._database.read(work)

    def find(self, client: str | None, state: State | None, before: int | None, most: int) -> list[Record]:
        """Jobs of a client, the latest first."""
        query = (
            "SELECT * FROM jobs WHERE client IS ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR number < ?3) "
            "ORDER BY number DESC LIMIT ?4"
        )
        rows = self._database.read(lambda database: database.execute(query, (client, state, before, most)).fetchall())
        return [record_of(dict(row)) for row in rows]

    def survey(self) -> Survey:
        """Counts all jobs."""

        def work(database: sqlite3.Connection) -> Survey:
            counts = dict(map(tuple, database.execute("SELECT state, count(*) FROM jobs GROUP BY state")))
            query = f"SELECT count(*), min(created) FROM jobs WHERE state = 'pending' AND {_OFFERED}"
            waiting, oldest = database.execute(query, (_oldest_offer(),)).fetchone()
            return Survey(counts, waiting, max(0.0, time.time() - oldest) if isinstance(oldest, float) else 0.0)

        return self._database.read(work)

    def beats(self, owner: str) -> dict[str, tuple[str, int]]:
        """Of each job that another owner runs: who that is, and how often it has beaten."""
        query = "SELECT id, owner, beats FROM jobs WHERE state = 'in_progress' AND owner IS NOT ?"
        rows = self._database.read(lambda database: database.execute(query, (owner,)).fetchall())
        return {row["id"]: (row["owner"], row["beats"]) for row in rows}

    def offer(self, models: str, patience: float) -> None:
        """Notes that a service has some models; ends jobs whose models nobody has offered for `patience` seconds."""
        now = time.time()
        left = now - max(patience, OFFERED_SECONDS)

        def work(database: sqlite3.Connection) -> None:
            database.execute(_OFFER, (models, now))
            database.execute(
                "UPDATE jobs SET state = 'failed', changes = changes + 1, ended = ?2, code = 'models_gone', "
                f"error = ?3, due = {_due('?2')} "
                "WHERE state = 'pending' AND models IS NOT NULL AND "
                "coalesce((SELECT seen FROM offers WHERE offers.models = jobs.models), created) < ?1",
                (left, now, GONE),
            )
            database.execute("DELETE FROM offers WHERE seen < ?", (left,))

        self._database.write(work)

    def claim(self, owner: str, models: str, dead: dict[str, tuple[str, int]]) -> Record | None:
        """The next job for some models that waits, or that is one of the dead and has not moved since."""
        fits = "(models IS NULL OR models = ?1)"

        def work(database: sqlite3.Connection) -> Record | None:
            for id_, (before, beats) in dead.items():
                database.execute(
                    "UPDATE jobs SET state = 'pending', owner = NULL, deaths = deaths + 1, changes = changes + 1 "
                    "WHERE id = ? AND state = 'in_progress' AND owner IS ? AND beats IS ?",
                    (id_, before, beats),
                )
            return _one(
                database,
                "UPDATE jobs SET state = 'in_progress', owner = ?2, models = ?1, beats = 0, attempts = attempts + 1, "
                "changes = changes + 1, started = coalesce(started, ?3) "
                "WHERE number = (SELECT number FROM jobs WHERE state = 'pending' "
                f"AND {fits} ORDER BY turn, number LIMIT 1) RETURNING *",
                models, owner, time.time(),
            )  # fmt: skip

        waits = f"SELECT 1 FROM jobs WHERE state = 'pending' AND {fits} LIMIT 1"
        if not dead and self._database.read(lambda database: database.execute(waits, (models,)).fetchone()) is None:
            return None
        return self._database.write(work)

    def beat(self, id_: str, owner: str, place: Place | None) -> bool:
        """Says that a job's owner lives and how far it is. False if the job is the owner's no more."""
        if place is None:
            return self._change(id_, owner, "beats = beats + 1")
        return self._change(
            id_, owner,
            "beats = beats + 1, changes = changes + (stage IS NOT ?1 OR step IS NOT ?2), "
            "stage = ?1, step = ?2, steps = ?3",
            place.stage, place.step, place.steps,
        )  # fmt: skip

    def hand_back(self, id_: str, owner: str) -> bool:
        """Makes an owner's job pending again, for another process."""
        return self._change(id_, owner, "state = 'pending', owner = NULL, changes = changes + 1")

    def complete(self, id_: str, owner: str, warnings: Sequence[str], kinds: Sequence[str]) -> bool:
        """Ends an owner's job with a result."""
        return self._change(
            id_, owner,
            f"state = 'completed', changes = changes + 1, ended = ?1, warnings = ?2, kinds = ?3, due = {_due('?1')}",
            time.time(), json.dumps(warnings), json.dumps(kinds),
        )  # fmt: skip

    def fail(self, id_: str, owner: str, code: str, error: str) -> bool:
        """Ends an owner's job with an error."""
        return self._change(
            id_, owner,
            f"state = 'failed', changes = changes + 1, ended = ?1, code = ?2, error = ?3, due = {_due('?1')}",
            time.time(), code, error,
        )  # fmt: skip

    def cancel(self, id_: str) -> bool:
        """Ends a job that waits or runs. False if there is none, or it has ended already."""
        return self._changed(
            f"UPDATE jobs SET state = 'canceled', changes = changes + 1, ended = ?1, due = {_due('?1')} "
            "WHERE id = ?2 AND state IN ('pending', 'in_progress')",
            time.time(), id_,
        )  # fmt: skip

    def deliveries(self, most: int, lease: float) -> list[Record]:
        """Jobs whose webhooks are due, which will not be due again for `lease` seconds."""
        due = "SELECT number FROM jobs WHERE due <= ?1 ORDER BY due LIMIT ?2"

        def work(database: sqlite3.Connection) -> list[Record]:
            now = time.time()
            rows = database.execute(
                f"UPDATE jobs SET due = ?3, tries = tries + 1 WHERE number IN ({due}) RETURNING *",
                (now, most, now + lease),
            )
            return [record_of(dict(row)) for row in rows]

        if not self._database.read(lambda database: database.execute(due, (time.time(), 1)).fetchone()):
            return []
        return self._database.write(work)

    def delivered(self, id_: str, again: float | None) -> bool:
        """Has the webhook of a job tried again in so many seconds, or never again."""
        return self._changed("UPDATE jobs SET due = ? WHERE id = ?", again and time.time() + again, id_)

    def remove(self, id_: str) -> bool:
        """Forgets a job that does not wait or run."""
        return self._changed(f"DELETE FROM jobs WHERE id = ? AND {_ENDED}", id_)

    def expired(self, seconds: float, most_ended: int) -> list[str]:
        """Ids of the jobs that ended so long ago, and of the oldest of those that are too many."""
        query = (
            f"SELECT id FROM jobs WHERE {_ENDED} AND (coalesce(ended, 0) < ? OR number IN "
            f"(SELECT number FROM jobs WHERE {_ENDED} ORDER BY ended DESC LIMIT -1 OFFSET ?))"
        )
        return self._ids(query, time.time() - seconds, most_ended)

    def ended(self) -> list[str]:
        """Ids of the jobs that have ended, those first that did so first."""
        return self._ids(f"SELECT id FROM jobs WHERE {_ENDED} ORDER BY ended")

    def ids(self) -> set[str]:
        """Ids of all jobs."""
        return set(self._ids("SELECT id FROM jobs"))

    def _ids(self, query: str, *values: Any) -> list[str]:
        return self._database.read(lambda database: [row["id"] for row in database.execute(query, values)])

    def _one(self, query: str, *values: Any) -> Record | None:
        return self._database.read(lambda database: _one(database, query, *values))

    def _change(self, id_: str, owner: str, assignments: str, *values: Any) -> bool:
        place = len(values)
        return self._changed(
            f"UPDATE jobs SET {assignments} WHERE id = ?{place + 1} AND owner = ?{place + 2} AND state = 'in_progress'",
            *values, id_, owner,
        )  # fmt: skip

    def _changed(self, statement: str, *values: Any) -> bool:
        return self._database.write(lambda database: database.execute(statement, values).rowcount == 1)


def _due(now: str) -> str:
    """When the webhook of a job that ends now is due: at once, if it has one. now: the parameter with the time."""
    return f"CASE WHEN webhook IS NOT NULL THEN {now} END"


def _oldest_offer() -> float:
    """When models were offered last, at the earliest, that a service still has."""
    return time.time() - OFFERED_SECONDS


def _one(database: sqlite3.Connection, query: str, *values: Any) -> Record | None:
    row = database.execute(query, values).fetchone()
    return record_of(dict(row)) if row else None
