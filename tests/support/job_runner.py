"""A generator that makes shapes at once, or fails as told, and a runner that works with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from api.generation.events import CoarseMade, Report, Stepped
from api.generation.generator import Saved
from api.jobs.record import ENDED, Record
from api.jobs.runner import Runner
from api.jobs.store import Store
from api.messages import ModelStatus, Order, Progress, Status
from api.schemas import LOADING
from models.shape import Shape
from tests.support.job_store import (
    COARSE,
    MODELS,
    now,
    voxels,
)


class Monitor:
    """Of a service with models that change once somebody looks."""

    def __init__(self) -> None:
        self.health = SimpleNamespace(status="ready")
        self.status = status(MODELS)
        self.later = self.status

    async def refresh(self) -> None:
        self.status = self.later


def status(models: str) -> Status:
    versions = {name: ModelStatus(version=version, usable=True) for name, version in json.loads(models).items()}
    return Status(health=LOADING, models=versions)


class Generator:
    """Remembers from where each run began; each of `faults` ends a run, the one after them succeeds."""

    def __init__(self, *faults: Exception, seconds: float = 0.05) -> None:
        self.monitor = Monitor()
        self.faults = list(faults)
        self.began: list[Saved | None] = []
        self.orders: list[Order] = []
        self.coarse = COARSE
        self.seconds = seconds

    async def run_job(self, order: Order, report: Report, saved: Saved | None) -> Shape:
        self.began.append(saved)
        self.orders.append(order)
        report(CoarseMade(self.coarse, None))
        report(Stepped(Progress(state=b"later", stage="fine", step=4, steps=9), None))
        await asyncio.sleep(self.seconds)
        if self.faults:
            raise self.faults.pop(0)
        return Shape(voxels(1), None, order.seed)


async def _look(_: str) -> None:
    """Looks at nothing."""


def run_all(
    store: Store, generator: Generator, id_: str, look: Callable[[str], Coroutine[Any, Any, None]] = _look
) -> Record:
    """Lets a runner work until a job has ended; `look` gets its id several times on the way."""

    async def main() -> Record:
        runner = Runner(generator, store, 1, 1e6)  # type: ignore[arg-type]
        running = asyncio.create_task(runner.run())
        async with asyncio.timeout(30):
            while (record := await store.get(id_)) is not None and record.state not in ENDED:
                await asyncio.sleep(0.01)
                await look(id_)
            running.cancel()
            while runner._tasks:
                await asyncio.sleep(0.01)
        assert record is not None
        return record

    return now(main())


OTHER_MODELS = '{"text": "a text:1", "coarse": "a coarse:2"}'
