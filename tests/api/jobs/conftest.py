"""Stores of every kind: what is said of one holds for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.job_store import EmbeddedPlace, Place
from tests.support.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    """One server for all tests of stores; each has tables of its own."""
    with postgres() as server:
        yield server


@pytest.fixture(params=["embedded", "shared"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where jobs are kept, in each kind of store."""
    if request.param == "embedded":
        yield EmbeddedPlace(tmp_path)
    else:
        from tests.support.shared_jobs import SharedPlace

        yield SharedPlace(request.getfixturevalue("database"), tmp_path)
