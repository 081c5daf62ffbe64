"""The table of jobs: every statement of SQL that the store makes. All times are those of the database's clock."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from api.jobs.models import GONE
from api.jobs.record import Record, State, record_of
from api.jobs.shared.database import Database
from api.jobs.store import OFFERED_SECONDS, NewJob, Place, Survey, check_own

COUNTED_SECONDS = 15.0
_NOW = "extract(epoch FROM clock_timestamp())::float8"
_ENDED = "state NOT IN ('pending', 'in_progress')"
_OFFERED = (
    f"(models IS NULL OR models IN (SELECT o.models FROM xcube_offers o WHERE o.seen > {_NOW} - {OFFERED_SECONDS}))"
)
"""A service has the models of a job."""
_OFFER = (
    f"INSERT INTO xcube_offers (models, seen) VALUES ($1, {_NOW}) "
    "ON CONFLICT (models) DO UPDATE SET seen = excluded.seen"
)
_TURN = """
greatest(
    coalesce(
        (SELECT max(turn) FROM xcube_jobs WHERE state = 'in_progress'),
        (SELECT min(turn) FROM xcube_jobs WHERE state = 'pending'),
        0
    ),
    (SELECT max(turn + cost) FROM xcube_jobs WHERE share = $8 AND state IN ('pending', 'in_progress'))
)
"""
"""Of a new job; see `Store.add`."""
_OWN = "(SELECT count(*) FROM xcube_jobs WHERE state = 'pending' AND client IS NOT DISTINCT FROM {client})"
_DUE = f"due = CASE WHEN webhook IS NOT NULL THEN {_NOW} END"
"""The webhook of a job that ends is due at once, if it has one."""
_MINE = "id = $1 AND owner = $2 AND state = 'in_progress'"


class Records:
    """The table. Each method may raise OSError.

    Args:
        running: Connections for jobs that run.
        clients: Connections for whoever asks for jobs: they do not hold up those that run.
    """

    def __init__(self, running: Database, clients: Database) -> None:
        self._running = running
        self._clients = clients
        self._ended: dict[str, int] = {}
        self._counted = float("-inf")

    async def known(self, key: str) -> Record | None:
        """The job that has an idempotency key."""
        return await _one(self._clients, "SELECT * FROM xcube_jobs WHERE idempotency_key = $1", key)

    async def add(self, job: NewJob, most_waiting: int) -> Record | None:
        """A new job, or the one that has this idempotency key already; None if too many wait."""
        if job.models is not None:  # who accepts a job has its models
            await _done(self._clients, _OFFER, job.models)
        added = await _one(
            self._clients,
            "INSERT INTO xcube_jobs (id, idempotency_key, client, request, seed, models, created, share, cost, turn, "
            f"webhook) SELECT $1, $2, $3, $4, $5, $6, {_NOW}, $8, $9, {_TURN}, $11 "
            "WHERE (SELECT count(*) FROM xcube_jobs WHERE state = 'pending') < $7 "
            f"AND ($10::bigint IS NULL OR {_OWN.format(client='$3')} < $10) ON CONFLICT DO NOTHING RETURNING *",
            job.id, job.key, job.client, job.request, str(job.seed), job.models, most_waiting, job.share, job.cost,
            job.most_own, job.webhook,
        )  # fmt: skip
        if added is None and job.key:
            added = await self.known(job.key)
        if added is None and job.most_own is not None:
            (own,) = await _rows(self._clients, f"SELECT {_OWN.format(client='$1::text')} AS own", job.client)
            check_own(own["own"], job.most_own)
        return added

    async def get(self, id_: str) -> Record | None:
        """The job with an id."""
        return await _one(self._clients, "SELECT * FROM xcube_jobs WHERE id = $1", id_)

    async def position(self, record: Record) -> int | None:
        """How many jobs wait up to one, for the same models or for any; None if nobody offers its models."""
        query = (
            f"SELECT CASE WHEN $2::text IS NULL OR EXISTS (SELECT 1 FROM xcube_offers WHERE models = $2 "
            f"AND seen > {_NOW} - {OFFERED_SECONDS}) THEN (SELECT count(*) FROM xcube_jobs WHERE state = 'pending' "
            "AND (turn, number) <= ($3, $1) AND (models IS NULL OR $2 IS NULL OR models = $2)) END AS place"
        )
        (row,) = await _rows(self._clients, query, record.number, record.models, record.turn)
        return None if row["place"] is None else int(row["place"])

    async def find(self, client: str | None, state: State | None, before: int | None, most: int) -> list[Record]:
        """Jobs of a client, the latest first."""
        whose = "($1::text IS NULL AND client IS NULL OR client = $1)"  # "IS NOT DISTINCT FROM" finds no index
        query = (
            f"SELECT * FROM xcube_jobs WHERE {whose} AND ($2::text IS NULL OR state = $2) "
            "AND ($3::bigint IS NULL OR number < $3) ORDER BY number DESC LIMIT $4"
        )
        return [record_of(row) for row in await _rows(self._clients, query, client, state, before, most)]

    async def survey(self) -> Survey:
        """Counts all jobs. Those that have ended, which are many, are counted anew after COUNTED_SECONDS."""
        query = (
            f"SELECT state, count(*) AS all, count(*) FILTER (WHERE {_OFFERED}) AS waiting, "
            f"{_NOW} - min(created) FILTER (WHERE {_OFFERED}) AS oldest FROM xcube_jobs "
            "WHERE state IN ('pending', 'in_progress') GROUP BY state"
        )
        rows = {row["state"]: row for row in await _rows(self._running, query)}
        if time.monotonic() - self._counted > COUNTED_SECONDS:
            ended = f"SELECT state, count(*) AS all FROM xcube_jobs WHERE {_ENDED} GROUP BY state"
            self._ended = {row["state"]: row["all"] for row in await _rows(self._running, ended)}
            self._counted = time.monotonic()
        counts = self._ended | {state: row["all"] for state, row in rows.items()}
        pending = rows.get("pending", {"waiting": 0, "oldest": None})
        return Survey(counts, pending["waiting"], pending["oldest"] or 0.0)

    async def beats(self) -> dict[str, tuple[str, int]]:
        """Of each job that runs: who runs it, and how often that has beaten."""
        query = "SELECT id, owner, beats FROM xcube_jobs WHERE state = 'in_progress'"
        return {row["id"]: (row["owner"], row["beats"]) for row in await _rows(self._running, query)}

    async def offer(self, models: str, patience: float) -> None:
        """Notes that a service has some models; ends jobs whose models nobody has offered for `patience` seconds."""
        await _done(self._running, _OFFER, models)
        left = max(patience, OFFERED_SECONDS)
        await _done(
            self._running,
            f"UPDATE xcube_jobs AS j SET state = 'failed', changes = changes + 1, ended = {_NOW}, "
            f"code = 'models_gone', error = $2, {_DUE} WHERE state = 'pending' AND models IS NOT NULL AND "
            f"coalesce((SELECT seen FROM xcube_offers o WHERE o.models = j.models), created) < {_NOW} - $1::float8",
            left, GONE,
        )  # fmt: skip
        await _done(self._running, f"DELETE FROM xcube_offers WHERE seen < {_NOW} - $1::float8", left)

    async def release(self, dead: Mapping[str, tuple[str, int]]) -> None:
        """Has jobs wait again whose owners are dead and have not beaten since."""
        ids, owners, beats = list(dead), [owner for owner, _ in dead.values()], [count for _, count in dead.values()]
        await _done(
            self._running,
            "UPDATE xcube_jobs AS j SET state = 'pending', owner = NULL, deaths = deaths + 1, changes = changes + 1 "
            "FROM unnest($1::text[], $2::text[], $3::bigint[]) AS d(id, owner, beats) "
            "WHERE j.id = d.id AND j.state = 'in_progress' AND j.owner IS NOT DISTINCT FROM d.owner "
            "AND j.beats = d.beats",
            ids, owners, beats,
        )  # fmt: skip

    async def claim(self, owner: str, models: str) -> Record | None:
        """The next job that waits for some models, or for any. Who looks at the same time gets the next."""
        return await _one(
            self._running,
            "UPDATE xcube_jobs SET state = 'in_progress', owner = $1, models = $2, beats = 0, attempts = attempts + 1, "
            f"changes = changes + 1, started = coalesce(started, {_NOW}) WHERE number = ("
            "SELECT number FROM xcube_jobs WHERE state = 'pending' AND (models IS NULL OR models = $2) "
            "ORDER BY turn, number LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *",
            owner, models,
        )  # fmt: skip

    async def beat(self, id_: str, owner: str, place: Place | None) -> bool:
        """Says that a job's owner lives and how far it is. False if the job is the owner's no more."""
        if place is None:
            mine = await _done(self._running, f"UPDATE xcube_jobs SET beats = beats + 1 WHERE {_MINE}", id_, owner)
        else:
            mine = await _done(
                self._running,
                "UPDATE xcube_jobs SET beats = beats + 1, stage = $3, step = $4, steps = $5, changes = changes + "
                "(stage IS DISTINCT FROM $3 OR step IS DISTINCT FROM $4)::integer "
                f"WHERE {_MINE}",
                id_, owner, place.stage, place.step, place.steps,
            )  # fmt: skip
        if not mine:  # it was counted as dead, and lives: it was only cut off
            await _done(
                self._running,
                "UPDATE xcube_jobs SET deaths = greatest(deaths - 1, 0) WHERE id = $1 AND owner IS DISTINCT FROM $2 "
                "AND state IN ('pending', 'in_progress')",
                id_, owner,
            )  # fmt: skip
        return mine

    async def hand_back(self, id_: str, owner: str) -> bool:
        """Makes an owner's job pending again, for another process."""
        statement = f"UPDATE xcube_jobs SET state = 'pending', owner = NULL, changes = changes + 1 WHERE {_MINE}"
        return await _done(self._running, statement, id_, owner)

    async def is_mine(self, id_: str, owner: str) -> bool:
        """Whether a job is an owner's, and runs."""
        return bool(await _rows(self._running, f"SELECT 1 FROM xcube_jobs WHERE {_MINE}", id_, owner))

    async def saved(self, id_: str, owner: str, size: int) -> bool:
        """Notes that an owner has kept a state, and what it takes."""
        return await _done(
            self._running, f"UPDATE xcube_jobs SET keeper = $2, bytes = $3 WHERE {_MINE}", id_, owner, size
        )

    async def complete(self, id_: str, owner: str, warnings: Sequence[str], kinds: Sequence[str], size: int) -> bool:
        """Ends an owner's job with a result. True if it has done so before, and did not hear of it."""
        values = (id_, owner, json.dumps(warnings), json.dumps(kinds), size)
        done = await _done(
            self._running,
            f"UPDATE xcube_jobs SET state = 'completed', changes = changes + 1, ended = {_NOW}, warnings = $3, "
            f"kinds = $4, keeper = $2, bytes = $5, {_DUE} WHERE {_MINE}",
            *values,
        )
        query = "SELECT 1 FROM xcube_jobs WHERE id = $1 AND owner = $2 AND state = 'completed'"
        return done or bool(await _rows(self._running, query, id_, owner))

    async def fail(self, id_: str, owner: str, code: str, error: str) -> bool:
        """Ends an owner's job with an error."""
        return await _done(
            self._running,
            f"UPDATE xcube_jobs SET state = 'failed', changes = changes + 1, ended = {_NOW}, code = $3, error = $4, "
            f"{_DUE} WHERE {_MINE}",
            id_, owner, code, error,
        )  # fmt: skip

    async def cancel(self, id_: str) -> bool:
        """Ends a job that waits or runs. False if there is none, or it has ended already."""
        return await _done(
            self._clients,
            f"UPDATE xcube_jobs SET state = 'canceled', changes = changes + 1, ended = {_NOW}, {_DUE} "
            "WHERE id = $1 AND state IN ('pending', 'in_progress')",
            id_,
        )  # fmt: skip

    async def deliveries(self, most: int, lease: float) -> list[Record]:
        """Jobs whose webhooks are due, which will not be due again for `lease` seconds."""
        rows = await _rows(
            self._running,
            f"UPDATE xcube_jobs SET due = {_NOW} + $2::float8, tries = tries + 1 WHERE number IN (SELECT number "
            f"FROM xcube_jobs WHERE due <= {_NOW} ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING *",
            most, lease,
        )  # fmt: skip
        return [record_of(row) for row in rows]

    async def delivered(self, id_: str, again: float | None) -> None:
        """Has the webhook of a job tried again in so many seconds, or never again."""
        await _done(self._running, f"UPDATE xcube_jobs SET due = {_NOW} + $2::float8 WHERE id = $1", id_, again)

    async def remove(self, id_: str) -> None:
        """Forgets a job that does not wait or run."""
        await _done(self._clients, f"DELETE FROM xcube_jobs WHERE id = $1 AND {_ENDED}", id_)

    async def without_files(self, id_: str) -> None:
        """Notes that a job has no files any more."""
        await _done(self._running, "UPDATE xcube_jobs SET keeper = NULL, bytes = 0 WHERE id = $1", id_)

    async def expired(self, seconds: float, most_ended: int) -> list[str]:
        """Ids of the jobs that ended so long ago, and of the oldest of those that are too many."""
        query = (
            f"SELECT id FROM xcube_jobs WHERE {_ENDED} AND (coalesce(ended, 0) < {_NOW} - $1::float8 OR number IN "
            f"(SELECT number FROM xcube_jobs WHERE {_ENDED} ORDER BY ended DESC NULLS LAST OFFSET $2))"
        )
        return [row["id"] for row in await _rows(self._running, query, seconds, most_ended)]

    async def known_ids(self, ids: Sequence[str]) -> set[str]:
        """Which of some ids are those of jobs."""
        query = "SELECT id FROM xcube_jobs WHERE id = ANY($1::text[])"
        return {row["id"] for row in await _rows(self._running, query, list(ids))}

    async def used(self) -> tuple[int, int]:
        """Bytes that the files of all jobs take, and those of the jobs that have ended."""
        query = (
            f"SELECT coalesce(sum(bytes), 0) AS all, coalesce(sum(bytes) FILTER (WHERE {_ENDED}), 0) AS ended "
            "FROM xcube_jobs"
        )
        (row,) = await _rows(self._running, query)
        return int(row["all"]), int(row["ended"])

    async def make_room(self, size: int) -> list[str]:
        """Gives up files of the jobs that ended first, until these had so many bytes; returns their ids."""
        rows = await _rows(
            self._running,
            "WITH old AS (SELECT id, (sum(bytes) OVER (ORDER BY ended, number) - bytes)::bigint AS before "
            f"FROM xcube_jobs WHERE {_ENDED} AND bytes > 0) "
            "UPDATE xcube_jobs AS j SET keeper = NULL, bytes = 0 FROM old "
            "WHERE j.id = old.id AND old.before < $1::bigint AND j.bytes > 0 RETURNING j.id",
            size,
        )
        return [row["id"] for row in rows]

    async def place(self) -> tuple[str, bool]:
        """What names the place of all states and results, and whether nothing is kept there yet."""
        query = (
            "SELECT results, NOT EXISTS (SELECT 1 FROM xcube_jobs WHERE keeper IS NOT NULL) AS empty FROM xcube_store"
        )
        (row,) = await _rows(self._running, query)
        return str(row["results"]), bool(row["empty"])


async def _rows(database: Database, query: str, *values: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.run(lambda connection: connection.fetch(query, *values))]


async def _one(database: Database, query: str, *values: Any) -> Record | None:
    rows = await _rows(database, query, *values)
    return record_of(rows[0]) if rows else None


async def _done(database: Database, statement: str, *values: Any) -> bool:
    """Whether a statement has changed anything."""
    done = await database.run(lambda connection: connection.execute(statement, *values))
    return not done.endswith(" 0")
