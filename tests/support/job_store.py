"""A store of jobs in a folder, and small shapes to keep in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from api.generation.generator import Saved
from api.jobs.embedded.store import EmbeddedStore
from api.jobs.record import Record
from api.jobs.store import NewJob
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


def store_in(
    folder: Path, arithmetic: Callable[[], str] = lambda: "cpu", max_bytes: int = 2**30, max_voxels: int = 1000
) -> EmbeddedStore:
    return EmbeddedStore(folder, arithmetic, max_bytes, max_voxels)


def now(call: Coroutine[Any, Any, T]) -> T:
    """What a call of the store gives."""
    return asyncio.run(call)


def added(
    store: EmbeddedStore, key: str | None = None, client: str | None = None, most: int = 1000,
    models: str | None = MODELS,
) -> Record:  # fmt: skip
    record = now(store.add(NewJob(REQUEST, 1, key, client, models), most))
    assert record is not None
    return record


def claimed(store: EmbeddedStore, owner: str = OWNER, models: str = MODELS) -> Record:
    record = now(store.claim(owner, models))
    assert record is not None
    return record


def saved(store: EmbeddedStore, state: Saved = HALF, id_: str | None = None) -> Record:
    """A job that waits and has a state."""
    id_ = added(store).id if id_ is None else id_
    assert claimed(store).id == id_
    now(store.save(id_, OWNER, state, None))
    assert now(store.hand_back(id_, OWNER))
    return found(store, id_)


def completed(store: EmbeddedStore, shape: Shape = SHAPE) -> Record:
    """A job that has ended with a shape."""
    id_ = added(store).id
    assert claimed(store).id == id_
    assert now(store.finish(id_, OWNER, shape))
    return found(store, id_)


def found(store: EmbeddedStore, id_: str) -> Record:
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
