"""What a store of jobs has to do, whatever it stands on."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from api.errors import QuotaExceeded
from api.generation.generator import Saved
from api.jobs.record import Record, State
from models.shape import Shape

RETRY_FULL_SECONDS = 60.0
"""What clients are told to wait who have too many jobs waiting."""
OFFER_SECONDS = 10.0
OFFERED_SECONDS = 35.0
"""Models that nobody has offered for so long are no service's any more."""


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class NewJob:
    """What a client wants.

    request: its JSON. key: its Idempotency-Key. client: who it is, None without keys. models: those it was accepted for
    (see `api.jobs.models`), None where they were not known. share: whose share of the turns it takes. cost: how much of
    that. most_own: jobs that this client may have waiting. webhook: where to tell its end.
    """

    request: str
    seed: int
    key: str | None
    client: str | None
    models: str | None = None
    share: str = ""
    cost: float = 1.0
    most_own: int | None = None
    webhook: str | None = None
    id: str = field(default_factory=_new_id)


def check_own(waiting: int, most: int) -> None:
    """Lets pass another job of a client that has so many waiting. Raises QuotaExceeded if it may have no more."""
    if waiting >= most:
        raise QuotaExceeded(
            f"This key may have {most} jobs waiting: try again later, or cancel one.", retry_after=RETRY_FULL_SECONDS
        )


@dataclass(frozen=True)
class Place:
    """How far a job is."""

    stage: str
    step: int
    steps: int


@dataclass(frozen=True)
class Survey:
    """All jobs together.

    counts: by state. waiting: those that wait for their turn, and not for models that no service has. oldest: seconds
    for which the one of these waits that has waited longest; 0 where none does.
    """

    counts: Mapping[str, int]
    waiting: int
    oldest: float


class Store(Protocol):
    """Jobs, the states of those that run and the shapes of those that have ended, for all processes of a service.

    An owner is a process that runs jobs, by a name of its own. What an owner does with a job that is no longer its own
    (it was canceled, or another process has taken it up) changes nothing and gives False.

    Every method may raise JobsUnavailable: the store cannot be used now, and nothing was changed that would be half of
    a change. What failed can be called again.
    """

    async def add(self, job: NewJob, most_waiting: int) -> Record | None:
        """A new job, or the one that has this idempotency key already; None if too many wait.

        It gets a turn: the number of the job that runs or is the next, or, if that is more, the last turn of its share
        plus the cost of that job. So shares take turns, whoever adds how many, and each job comes to be the first.

        Raises:
            StorageFull: Its result would find no room.
            QuotaExceeded: The client has `most_own` jobs waiting.
        """

    async def get(self, id_: str) -> Record | None:
        """The job with an id."""

    async def position(self, record: Record) -> int | None:
        """Place of a waiting job in the queue; 1 is the next. None if no service has its models now."""

    async def find(self, client: str | None, state: State | None, before: int | None, most: int) -> list[Record]:
        """Jobs of a client, the latest first: at most so many, in one state or in any, with numbers below `before`."""

    async def survey(self, owner: str) -> Survey:
        """Counts all jobs. An owner calls it every second: so it notices which other owners do not beat any more."""

    async def offer(self, models: str, retention: float) -> None:
        """Says that there is a service with some models. Every service does so every OFFER_SECONDS.

        Jobs end for whose models nobody has said so for `retention` seconds.
        """

    async def claim(self, owner: str, models: str) -> Record | None:
        """The job with the first turn of those that wait, or whose owner has died; of several the oldest.

        It is this owner's, and for these models, from now on.

        Jobs for other models are left for others: those whose owner has died wait from now on.
        """

    async def beat(self, id_: str, owner: str, place: Place | None) -> bool:
        """Says that a job's owner lives and how far the job is."""

    async def hand_back(self, id_: str, owner: str) -> bool:
        """Makes an owner's job wait again, for another process."""

    async def save(self, id_: str, owner: str, saved: Saved, previous: Saved | None) -> None:
        """Keeps the state of an owner's job in place of the one that was saved before.

        Raises:
            StorageFull: There is no room for it.
        """

    async def load(self, id_: str) -> Saved | None:
        """The state that was saved; None if there is none, or none that this service can go on with."""

    async def finish(self, id_: str, owner: str, result: Shape) -> bool:
        """Ends an owner's job with its shapes, which are kept for good before the job counts as completed.

        Raises:
            StorageFull: There is no room for them now.
            TooManyVoxels: There never will be.
        """

    async def fail(self, id_: str, owner: str, code: str, error: str) -> bool:
        """Ends an owner's job with an error."""

    async def cancel(self, id_: str) -> bool:
        """Ends a job that waits or runs. False if there is none, or it has ended already."""

    async def clear(self, id_: str) -> None:
        """Deletes everything that a job left but its record."""

    async def remove(self, id_: str) -> None:
        """Deletes everything that a job left, and forgets it if it has ended."""

    async def result(self, record: Record) -> Shape:
        """The shapes of a completed job, exactly as they were kept.

        Raises:
            ResultGone: They are not there any more, or damaged.
        """

    async def deliveries(self, most: int, lease: float) -> list[Record]:
        """Jobs that have ended and whose webhooks are due: at most so many, and for `lease` seconds nobody else's."""

    async def delivered(self, id_: str, again: float | None) -> None:
        """Has the webhook of a job tried again in so many seconds; None: never again."""

    async def tend(self, retention: float) -> None:
        """Forgets jobs that ended so many seconds ago, and whatever nobody needs any more."""

    async def close(self) -> None:
        """Gives back what the store holds; it is not used any more."""
