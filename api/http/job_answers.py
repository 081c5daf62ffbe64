"""Jobs as clients see them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

from api import call as calls
from api.errors import JobsUnavailable, NotFound, error_of_code, rule_of
from api.jobs.models import named
from api.jobs.record import Record
from api.jobs.service import Jobs
from models.kinds import nearest_in


async def find(jobs: Jobs, id_: str) -> Record:
    """The job with an id, for the client of this call.

    Raises:
        NotFound: There is none, or it is another client's who keeps its jobs to itself.
        JobsUnavailable: Nobody can tell now.
    """
    record = await jobs.store.get(id_)
    if record is None or not calls.current().client.sees(record.client):
        raise NotFound("There is no such job: it never existed, was removed, or has expired.")
    return record


async def describe(jobs: Jobs, record: Record) -> dict[str, Any]:
    """What a client gets to know of a job. Its position is null where it waits for models, or nobody can tell it."""
    position: int | None = None
    waits_for: str | None = None
    if record.state == "pending":
        waits_for = "turn"
        with contextlib.suppress(JobsUnavailable):  # who has just been accepted must not be told to try again
            position = await jobs.store.position(record)
            waits_for = "turn" if position is not None else "models"
    error: dict[str, Any] | None = None
    if record.code is not None:
        rule = rule_of(error_of_code(record.code, ""))
        error = {"error": record.error, "code": record.code, "retryable": rule is None or rule.retryable}
    return {
        "id": record.id,
        "state": record.state,
        "seed": record.seed,
        "seed_text": str(record.seed),
        "position": position,
        "waits_for": waits_for,
        "models": named(record.models),
        "stage": record.stage,
        "step": record.step,
        "steps": record.steps,
        "created": _moment(record.created),
        "started": _moment(record.started),
        "ended": _moment(record.ended),
        "expires": _moment(record.ended and record.ended + jobs.settings.job_retention_seconds),
        "warnings": record.warnings,
        "nearest_kinds": nearest_in(record.warnings),
        "error": error,
    }


def _moment(seconds: float | None) -> str | None:
    """Unix seconds as RFC 3339."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
