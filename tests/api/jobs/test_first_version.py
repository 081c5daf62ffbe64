"""What the store of one service alone promises: files of its own, and folders of the first version."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from api.errors import ResultGone
from api.jobs import durable as module
from models.shape import Shape
from tests.support.job_store import (
    COARSE,
    OWNER,
    REQUEST,
    SHAPE,
    added,
    claimed,
    found,
    now,
    same,
    saved,
    store_in,
)


def test_a_state_of_the_version_before_checksums_is_not_taken_up(tmp_path: Path) -> None:
    id_ = saved(store_in(tmp_path)).id
    (tmp_path / f"{id_}.state").write_bytes(
        b'{"version": 2, "arithmetic": "cpu", "stage": "fine", "step": 3, "steps": 9, "refined": false, '
        b'"warnings": []}\nhalf'
    )
    assert now(store_in(tmp_path).load(id_)) is None


def test_a_job_is_completed_only_when_its_files_and_their_folder_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path)
    id_ = added(store).id
    claimed(store)
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        done.append(f"sync {os.readlink(f'/proc/self/fd/{descriptor}')}")
        record = asyncio.run(store_in(tmp_path).get(id_))
        assert record is not None
        assert record.state == "in_progress"
        sync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        done.append(f"name {target}")
        replace(source, target)

    monkeypatch.setattr(module.os, "fsync", note_sync)
    monkeypatch.setattr(module.os, "replace", note_replace)
    assert now(store.finish(id_, OWNER, SHAPE))
    for kind in ("coarse", "fine"):
        file = tmp_path / f"{id_}.{kind}"
        place = done.index(f"name {file}")
        assert done[place - 1].startswith(f"sync {file}.")
        assert done[place + 1] == f"sync {tmp_path}"
    assert found(store, id_).state == "completed"


def old_store(folder: Path) -> None:
    """A folder as version 0.1.0 left it: a completed job, one that waits, and one whose process has died."""
    with closing(sqlite3.connect(folder / "jobs.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE IF NOT EXISTS jobs ("
            "number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, idempotency_key TEXT UNIQUE, request TEXT NOT NULL, "
            "seed TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending', owner TEXT, seen REAL NOT NULL DEFAULT 0, "
            "created REAL NOT NULL, started REAL, ended REAL, stage TEXT, step INTEGER, steps INTEGER, "
            "code TEXT, error TEXT, warnings TEXT NOT NULL DEFAULT '[]')"
        )
        columns = "id, idempotency_key, request, seed, state, owner, seen, created"
        add = f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        for id_, key, state in (
            ("done", "order 7", "in_progress"),
            ("dead", None, "in_progress"),
            ("next", None, "pending"),
        ):
            owner = "someone" if state == "in_progress" else None
            database.execute(add, (id_, key, REQUEST, "18446744073709551615", state, owner, 5.0, time.time()))
        database.execute(
            "UPDATE jobs SET state = 'completed', ended = ?, warnings = '[\"w\"]' WHERE id = 'done'", (time.time(),)
        )
    assert SHAPE.fine is not None
    (folder / "done.coarse").write_bytes(SHAPE.coarse.to_bytes())
    (folder / "done.fine").write_bytes(SHAPE.fine.to_bytes())
    (folder / "dead.state").write_bytes(b'{"version": 2}\nstate')
    (folder / "dead.coarse").write_bytes(COARSE)


def test_a_store_of_the_first_version_opens_with_all_its_jobs(tmp_path: Path) -> None:
    old_store(tmp_path)
    store = store_in(tmp_path)
    done = found(store, "done")
    assert (done.state, done.seed, done.warnings, done.kinds) == ("completed", 2**64 - 1, ("w",), None)
    shape = now(store.result(done))
    assert same(shape, Shape(SHAPE.coarse, SHAPE.fine, 2**64 - 1, ("w",)))
    assert added(store, key="order 7").id == "done"
    assert claimed(store).id == "next"
    assert now(store.load("dead")) is None
    assert dict(now(store.survey(OWNER)).counts) == {"completed": 1, "in_progress": 2}
    now(store.tend(1e6))
    assert same(now(store_in(tmp_path).result(done)), shape)


def test_a_damaged_result_of_the_first_version_is_gone_too(tmp_path: Path) -> None:
    old_store(tmp_path)
    store = store_in(tmp_path)
    for content in (b"", b"x" * 99, SHAPE.coarse.to_bytes()[:-9]):
        (tmp_path / "done.coarse").write_bytes(content)
        with pytest.raises(ResultGone):
            now(store.result(found(store, "done")))
