"""What the store keeps of jobs: whole, or told to be gone; in this version's tables, and in those of earlier ones."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from api.errors import ResultGone
from api.generation.generator import Saved
from api.jobs import durable as module
from api.jobs import snapshots
from api.jobs.record import Record
from models.shape import Shape
from tests.support.job_store import (
    COARSE,
    HALF,
    OTHER,
    OWNER,
    REQUEST,
    SHAPE,
    added,
    claimed,
    completed,
    found,
    now,
    same,
    saved,
    store_in,
    voxels,
)


def loaded(folder: Path, id_: str, arithmetic: str = "cpu") -> Saved | None:
    return now(store_in(folder, lambda: arithmetic).load(id_))


def test_a_state_that_was_saved_comes_back(tmp_path: Path) -> None:
    id_ = saved(store_in(tmp_path)).id
    assert loaded(tmp_path, id_) == HALF
    now(store_in(tmp_path).clear(id_))
    assert loaded(tmp_path, id_) is None
    assert not list(tmp_path.glob(f"{id_}*"))


def test_a_state_of_another_version_or_arithmetic_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = saved(store_in(tmp_path, lambda: "cpu, 1 threads")).id
    assert loaded(tmp_path, id_, "cpu, 1 threads") == HALF
    assert loaded(tmp_path, id_, "cpu, 2 threads") is None
    monkeypatch.setattr(snapshots, "VERSION", snapshots.VERSION + 1)
    assert loaded(tmp_path, id_, "cpu, 1 threads") is None


def test_a_state_of_the_version_before_checksums_is_not_taken_up(tmp_path: Path) -> None:
    id_ = saved(store_in(tmp_path)).id
    (tmp_path / f"{id_}.state").write_bytes(
        b'{"version": 2, "arithmetic": "cpu", "stage": "fine", "step": 3, "steps": 9, "refined": false, '
        b'"warnings": []}\nhalf'
    )
    assert loaded(tmp_path, id_) is None


@pytest.mark.parametrize("kind", ["state", "coarse"])
def test_a_damaged_state_is_not_taken_up(tmp_path: Path, kind: str) -> None:
    id_ = saved(store_in(tmp_path)).id
    file = tmp_path / f"{id_}.{kind}"
    content = file.read_bytes()
    for damage in (b"", b"\n", content[:-1], content + b"x", content[:-1] + b"?", b"{" * 2000):
        file.write_bytes(damage)
        assert loaded(tmp_path, id_) is None
    file.unlink()
    assert loaded(tmp_path, id_) is None


def test_a_state_is_not_mixed_with_the_coarse_shape_of_another_start(tmp_path: Path) -> None:
    id_ = saved(store_in(tmp_path)).id
    later = Saved(HALF.progress, OTHER, ())
    kept = (tmp_path / f"{id_}.state").read_bytes()
    saved(store_in(tmp_path), later, id_)
    assert loaded(tmp_path, id_) == later
    (tmp_path / f"{id_}.state").write_bytes(kept)  # as after a crash between the two files
    assert loaded(tmp_path, id_) is None


@pytest.mark.parametrize("shape", [SHAPE, Shape(voxels(3), None, 2**64 - 1)])
def test_a_result_comes_back_bit_by_bit(tmp_path: Path, shape: Shape) -> None:
    record = completed(store_in(tmp_path), shape)
    assert (record.state, record.warnings) == ("completed", shape.warnings)
    assert same(now(store_in(tmp_path).result(record.model_copy(update={"seed": shape.seed}))), shape)


@pytest.mark.parametrize("fault", ["missing", "cut", "empty", "other bytes", "longer", "of another job", "a folder"])
@pytest.mark.parametrize("kind", ["coarse", "fine"])
def test_a_damaged_result_is_gone_and_never_half_of_one(tmp_path: Path, kind: str, fault: str) -> None:
    store = store_in(tmp_path)
    record, other = completed(store), completed(store)
    file = tmp_path / f"{record.id}.{kind}"
    content = file.read_bytes()
    file.unlink()
    match fault:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "empty":
            file.touch()
        case "other bytes":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "longer":
            file.write_bytes(content + b"\0")
        case "of another job":
            file.write_bytes((tmp_path / f"{other.id}.{kind}").read_bytes())
        case "a folder":
            file.mkdir()
            (file / "something").touch()
    with pytest.raises(ResultGone, match="send the request again"):
        now(store.result(record))
    now(store.remove(record.id))
    assert not list(tmp_path.glob(f"{record.id}*"))
    assert now(store.get(record.id)) is None
    assert same(now(store.result(other)), SHAPE)


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
        assert found(store_in(tmp_path), id_).state == "in_progress"
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


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("seed", "many"), ("seed", b"\xff"), ("seed", str(2**64)), ("state", "lost"), ("warnings", "{"),
        ("warnings", "[1]"), ("created", "today"), ("created", 1e300), ("step", "a"), ("request", b"\0"),
        ("kinds", "0"),
    ],
)  # fmt: skip
def test_a_row_that_makes_no_sense_is_a_failed_job_that_says_so(tmp_path: Path, column: str, value: object) -> None:
    store = store_in(tmp_path)
    id_ = added(store).id
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as database, database:
        database.execute(f"UPDATE jobs SET {column} = ?", (value,))
    record: Record = found(store, id_)
    assert (record.state, record.code) == ("failed", "unreadable_job")
    assert record.error is not None
    assert column in record.error
    if column == "state":
        now(store.tend(1e6))
        assert now(store.get(id_)) is None, "nothing else would ever end it"
