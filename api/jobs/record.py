"""One job, as every store keeps it and every client sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

State = Literal["pending", "in_progress", "completed", "failed", "canceled"]
STATES: tuple[State, ...] = get_args(State)
ENDED: tuple[State, ...] = ("completed", "failed", "canceled")
UNREADABLE = "unreadable_job"
"""Code of the error with which a job ends whose record makes no sense."""
_YEAR_8307 = 200_000_000_000


def _number(text: object) -> object:
    """SQL has no integers of 64 bits without a sign, so that seeds are kept as text."""
    return int(text) if isinstance(text, str) and len(text) <= 20 else text


def _texts(value: object) -> object:
    found = json.loads(value) if isinstance(value, str) else value
    return tuple(found) if isinstance(found, list) else found


Moment = Annotated[float, Field(ge=0, le=_YEAR_8307)]
_Count = Annotated[int, Field(ge=0)]
_Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class Record(BaseModel):
    """One job.

    number: its place in the order of arrival. request: its JSON. client: who made it, None where there are no keys.
    owner: the process that runs it. attempts: how often one has begun it. deaths: how many processes died with it.
    changes: rises whenever its state or its progress changes. created, started, ended: Unix seconds. stage, step,
    steps: how far it is. kinds: names of the files that are its result, None where a version that did not tell wrote
    them. models: the only ones that may run it (see `api.jobs.models`), None as long as any may. keeper: the
    process whose files are its state or its result, where every process has files of its own. share, turn, cost: see
    `Store.add`. webhook: where to tell its end, None if nowhere. tries: how often that was tried.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    number: int
    id: str
    idempotency_key: str | None = None
    client: str | None = None
    request: str = ""
    seed: Annotated[int, BeforeValidator(_number), Field(ge=-(2**63), le=2**64 - 1)] = 0
    state: State
    owner: str | None = None
    attempts: _Count = 0
    deaths: _Count = 0
    changes: _Count = 0
    created: Moment = 0.0
    started: Moment | None = None
    ended: Moment | None = None
    stage: str | None = None
    step: _Count | None = None
    steps: _Count | None = None
    code: str | None = None
    error: str | None = None
    warnings: _Texts = ()
    kinds: _Texts | None = None
    models: str | None = None
    keeper: str | None = None
    share: str | None = None
    turn: float = 0.0
    cost: float = 0.0
    webhook: str | None = None
    tries: _Count = 0


def record_of(row: Mapping[str, Any]) -> Record:
    """The record for a row of a table. One that makes no sense is a job that has failed, and its error says why."""
    try:
        return Record.model_validate(row)
    except ValidationError as error:
        faulty = sorted({str(each["loc"][0]) for each in error.errors()})
    sound = {name: value for name, value in row.items() if name not in faulty}
    ended = {"state": "failed", "code": UNREADABLE, "error": unreadable(", ".join(faulty))}
    return Record.model_validate(sound | ended)


def unreadable(what: str) -> str:
    """The sentence for a job whose record makes no sense."""
    return f"The record of this job cannot be read ({what}): send the request again as a new job."
