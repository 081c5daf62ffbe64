"""The store of several services in tests: tables of their own in a real PostgreSQL, and a folder beside it."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path

import asyncpg

from api.jobs.record import Record
from api.jobs.shared.objects import Folder, Objects
from api.jobs.shared.store import SharedStore
from api.jobs.snapshots import name_of
from tests.support.job_store import COARSE, cpu, keep
from tests.support.postgres import QUOTED, Postgres

_numbers = itertools.count()


class SharedPlace:
    """A schema of a database, and a folder. port, password: with which the next stores connect."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self.folder = folder
        self.schema = f"test_{os.getpid()}_{next(_numbers)}"
        self.server = server
        self.port = server.port
        self.password = QUOTED
        self.objects: Objects = Folder(folder)
        self._run(f"CREATE SCHEMA {self.schema}")

    def store(self, arithmetic: Callable[[], str] = cpu, max_bytes: int = 2**30, max_voxels: int = 1000) -> SharedStore:
        url = f"{self.server.url_at(self.port, self.password)}?search_path={self.schema}"
        store = SharedStore(url, self.objects, arithmetic, max_bytes, max_voxels)
        keep(store)
        return store

    def execute(self, statement: str, *values: object) -> None:
        numbers = itertools.count(1)
        statement = re.sub(r"\b(jobs|offers)\b", r"xcube_\1", statement)
        self._run(re.sub(r"\?", lambda _: f"${next(numbers)}", statement), *values)

    def _run(self, statement: str, *values: object) -> None:
        async def work() -> None:
            connection = await asyncpg.connect(self.server.url, server_settings={"search_path": self.schema})
            try:
                await connection.execute(statement, *values)
            finally:
                await connection.close()

        asyncio.run(work())

    def file(self, record: Record, kind: str) -> Path:
        name = f"half-{name_of(COARSE)}" if kind == "half" else f"{record.keeper}.{kind}"
        return self.folder / record.id / name

    def files(self, id_: str) -> list[Path]:
        return list((self.folder / id_).glob("*"))

    def used(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*/*.[cfs]*"))
