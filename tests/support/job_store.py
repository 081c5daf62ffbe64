"""Stores of jobs of every kind, and small shapes to keep in them."""

from __future__ import annotations

import asyncio
import atexit
import sqlite3
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from api.generation.generator import Saved
from api.jobs.embedded.files import Files
from api.jobs.embedded.store import EmbeddedStore
from api.jobs.record import Record
from api.jobs.store import NewJob, Store
from api.messages import Progress
from api.schemas import GenerateRequest
from models.shape import Shape, Voxels

T = TypeVar("T")
REQUEST = GenerateRequest(prompt="x", seed=1).model_dump_json()
OWNER = "an owner"
MODELS = '{"text": "a text:1", "coarse": "a coarse:1"}'


def voxels(count: int, place: int = 0) -> Voxels:
    """So many voxels, all of them at one place."""
    return Voxels(np.full((count, 3), place, np.int16), np.full((count, 3), 0.6, np.float32), 1 / 32)


COARSE, OTHER = voxels(1).to_bytes(), voxels(1, 5).to_bytes()
HALF = Saved(Progress(state=b"half", stage="fine", step=3, steps=9), COARSE, ("a warning",))
SHAPE = Shape(voxels(20), voxels(40, 2), 1, ("a warning",))


def cpu() -> str:
    """An arithmetic."""
    return "cpu"


class Place(Protocol):
    """Where jobs are kept, and what can happen to them there."""

    def store(self, arithmetic: Callable[[], str] = cpu, max_bytes: int = 2**30, max_voxels: int = 1000) -> Store:
        """A store, as another process has it."""

    def execute(self, statement: str, *values: object) -> None:
        """Does to the tables what nobody should. `jobs` and `offers` are the tables, `?` is the next value."""

    def file(self, record: Record, kind: str) -> Path:
        """The file of a state, of its coarse shape ("half"), or of a result ("coarse", "fine")."""

    def files(self, id_: str) -> list[Path]:
        """All that a job has left."""

    def used(self) -> int:
        """Bytes that all jobs take."""


class EmbeddedPlace:
    """A folder of one service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def store(self, arithmetic: Callable[[], str] = cpu, max_bytes: int = 2**30, max_voxels: int = 1000) -> Store:
        return store_in(self.folder, arithmetic, max_bytes, max_voxels)

    def execute(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.folder / "jobs.sqlite")) as database, database:
            database.execute(statement, values)

    def file(self, record: Record, kind: str) -> Path:
        return self.folder / f"{record.id}.{'coarse' if kind == 'half' else kind}"

    def files(self, id_: str) -> list[Path]:
        return list(self.folder.glob(f"{id_}*"))

    def used(self) -> int:
        return Files(self.folder).usage().total


def store_in(
    folder: Path, arithmetic: Callable[[], str] = cpu, max_bytes: int = 2**30, max_voxels: int = 1000
) -> EmbeddedStore:
    """The store of one service."""
    store = EmbeddedStore(folder, arithmetic, max_bytes, max_voxels)
    keep(store)
    return store


def keep(store: Store) -> None:
    """Has a store closed with the others."""
    _made.append(store)


def close_stores() -> None:
    """Closes all that were made: what they hold is not left to chance."""
    while _made:
        now(_made.pop().close())


_loop: list[asyncio.Runner] = []
_made: list[Store] = []


def now(call: Coroutine[Any, Any, T]) -> T:
    """What a call of the store gives. All calls have one loop: connections outlast a call."""
    if not _loop:
        _loop.append(asyncio.Runner())
        atexit.register(_loop[0].close)
    return _loop[0].run(call)


def added(
    store: Store, key: str | None = None, client: str | None = None, most: int = 1000, models: str | None = MODELS
) -> Record:
    record = now(store.add(NewJob(REQUEST, 1, key, client, models), most))
    assert record is not None
    return record


def claimed(store: Store, owner: str = OWNER, models: str = MODELS) -> Record:
    record = now(store.claim(owner, models))
    assert record is not None
    return record


def saved(store: Store, state: Saved = HALF, id_: str | None = None) -> Record:
    """A job that waits and has a state."""
    id_ = added(store).id if id_ is None else id_
    assert claimed(store).id == id_
    now(store.save(id_, OWNER, state, None))
    assert now(store.hand_back(id_, OWNER))
    return found(store, id_)


def completed(store: Store, shape: Shape = SHAPE) -> Record:
    """A job that has ended with a shape."""
    id_ = added(store).id
    assert claimed(store).id == id_
    assert now(store.finish(id_, OWNER, shape))
    return found(store, id_)


def found(store: Store, id_: str) -> Record:
    record = now(store.get(id_))
    assert record is not None
    return record


def same(one: Shape, other: Shape) -> bool:
    """Whether two shapes are the same, bit by bit."""
    parts = [(one.coarse, other.coarse), (one.fine, other.fine)]
    equal = all((a and a.to_bytes()) == (b and b.to_bytes()) for a, b in parts)
    return equal and (one.seed, one.warnings) == (other.seed, other.warnings)


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
