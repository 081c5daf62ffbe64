"""A store whose disk or database cannot be used says so in one way, changes nothing by halves, and mends itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.errors import JobsUnavailable, StorageFull
from api.jobs.embedded import database as module
from api.threads import Threads
from tests.support.job_store import (
    HALF,
    MODELS,
    OWNER,
    SHAPE,
    added,
    claimed,
    completed,
    found,
    now,
    same,
    store_in,
)
from tests.support.paths import ROOT
from tests.support.small_disk import full, mounted


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", 8) as folder:
        yield folder


def test_on_a_full_disk_jobs_are_read_and_removed_and_what_ends_is_ended_later(disk: Path) -> None:
    store = store_in(disk / "jobs")
    now(store.tend(1e6))
    done, running, waiting = completed(store), added(store), added(store)
    claimed(store)
    with full(disk):
        for call in (lambda: store.finish(running.id, OWNER, SHAPE), lambda: store.save(running.id, OWNER, HALF, None)):
            with pytest.raises(StorageFull):
                now(call())
        with pytest.raises(StorageFull):
            added(store)
        assert found(store, running.id).state == "in_progress"
        assert same(now(store.result(done)), SHAPE)
        assert not list(disk.glob("jobs/*.tmp")), "what could not be written is in the way of others"
        assert now(store.cancel(waiting.id))
        now(store.remove(waiting.id))
        now(store.remove(done.id))
        assert now(store.get(done.id)) is None
    assert now(store.finish(running.id, OWNER, SHAPE))
    assert same(now(store.result(found(store, running.id))), SHAPE)


def test_what_a_died_process_left_unfinished_is_removed_but_not_what_is_being_written(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    kept = completed(store)
    old, new, unknown, fresh = (
        tmp_path / name for name in (f"{kept.id}.fine.tmp", f"{kept.id}.fine.x.tmp", "gone.coarse", "new.state")
    )
    for path in (old, new, unknown, fresh):
        path.write_bytes(b"x")
    for path in (old, unknown):
        os.utime(path, (time.time() - 1e5,) * 2)
    now(store.tend(1e6))
    assert [path.exists() for path in (old, new, unknown, fresh)] == [False, True, False, True]
    assert same(now(store.result(kept)), SHAPE)


def test_a_disk_that_can_only_be_read_is_told_and_all_is_well_when_it_can_be_written(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    store = store_in(disk / "jobs")
    for _ in range(2):
        with pytest.raises(JobsUnavailable, match="XCUBE_JOBS_DIR"):
            added(store)
        with pytest.raises(JobsUnavailable):
            now(store.survey(OWNER))
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert same(now(store.result(completed(store))), SHAPE)


def test_without_the_right_to_write_jobs_are_unavailable(tmp_path: Path) -> None:
    """In a process of another user, since root may write everywhere."""
    code = (
        "import asyncio, os, sys\nfrom pathlib import Path\nfrom tests.support.job_store import added, store_in\n"
        "from api.errors import JobsUnavailable\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for folder in sys.argv[1:]:\n"
        "    try: added(store_in(Path(folder)))\n"
        "    except JobsUnavailable as error: print(error.retry_after)\n"
    )
    closed, below = tmp_path / "closed", tmp_path / "open" / "jobs"
    closed.mkdir(mode=0o500)
    completed(store_in(below))
    below.chmod(0o555)
    (below / "jobs.sqlite").chmod(0o444)
    for path in (below, *below.parents):
        if path.is_relative_to(Path("/tmp")) and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", code, closed / "jobs", below], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["5.0", "5.0"], done.stderr


@pytest.mark.parametrize("lost", ["the database", "the database and its logs", "the folder", "the table"])
def test_a_store_that_is_gone_is_made_again(tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "jobs"
    store, other = store_in(folder), store_in(folder)
    for each in (store, other):
        completed(each)
    match lost:
        case "the database":
            (folder / "jobs.sqlite").unlink()
        case "the database and its logs":
            for path in folder.glob("jobs.sqlite*"):
                path.unlink()
        case "the folder":
            shutil.rmtree(folder)
        case "the table":
            with closing(sqlite3.connect(folder / "jobs.sqlite")) as database, database:
                database.execute("DROP TABLE jobs")
    assert dict(now(store.survey(OWNER)).counts) == {}
    done = [completed(each) for each in (store, other, store)]
    for record in done:
        assert all(same(now(each.result(record)), SHAPE) for each in (store, other, store_in(folder)))


@pytest.mark.parametrize("damage", ["garbage", "cut", "pages"])
def test_a_damaged_database_is_set_aside_and_a_new_one_takes_its_place(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_in(tmp_path)
    for _ in range(100):
        added(store)
    database = tmp_path / "jobs.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = database.read_bytes()
    match damage:
        case "garbage":
            content = b"no database" * 1000
        case "cut":
            content = content[: len(content) // 2]
        case "pages":
            content = content[:4096] + os.urandom(len(content) - 4096)
    for path in tmp_path.glob("jobs.sqlite*"):
        path.unlink()
    database.write_bytes(content)
    after = store_in(tmp_path)
    now(after.survey(OWNER))
    assert same(now(after.result(completed(after))), SHAPE)
    assert (tmp_path / "jobs.sqlite.broken").read_bytes()[:4096] == content[:4096]
    assert "is set aside" in caplog.text
    assert same(now(store.result(completed(store))), SHAPE), "another process goes on with the new one"


@pytest.mark.parametrize("place", ["the database", "the folder", "a folder above"])
def test_what_lies_in_the_way_is_told_until_it_is_gone(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "above" / "jobs"
    match place:
        case "the database":
            (folder / "jobs.sqlite").mkdir(parents=True)
        case "the folder":
            folder.parent.mkdir()
            folder.touch()
        case "a folder above":
            folder.parent.touch()
    store = store_in(folder)
    with pytest.raises(JobsUnavailable):
        added(store)
    if (folder / "jobs.sqlite").is_dir():
        (folder / "jobs.sqlite").rmdir()
    else:
        (folder if folder.exists() else folder.parent).unlink()
    completed(store)


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    record = added(store)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as database:
        database.execute(f"PRAGMA user_version = {module.VERSION + 1}")
    with pytest.raises(JobsUnavailable):
        now(store_in(tmp_path).get(record.id))
    assert not (tmp_path / "jobs.sqlite.broken").exists()


def test_a_locked_database_is_read_and_what_would_write_is_refused_soon(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    done = completed(store)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert same(now(store.result(found(store, done.id))), SHAPE)
        assert dict(now(store.survey(OWNER)).counts) == {"completed": 1}
        assert now(store.claim(OWNER, MODELS)) is None, "there is nothing to claim, so nobody has to write"
        assert time.monotonic() - began < module.BUSY_SECONDS / 2
        with pytest.raises(JobsUnavailable):
            added(store)
        with pytest.raises(JobsUnavailable):
            now(store.remove(done.id))
        assert not (tmp_path / f"{done.id}.fine").exists(), "its room is free all the same"
    now(store.remove(done.id))
    assert now(store.get(done.id)) is None


def test_a_statement_that_fails_leaves_nothing_of_its_transaction(tmp_path: Path) -> None:
    database = module.Database(tmp_path / "jobs.sqlite")

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO jobs (id, request, seed, created) VALUES ('a', '', '1', 1)")
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(OSError, match="disk I/O error"):
        database.write(work)
    assert database.read(lambda connection: connection.execute("SELECT count(*) FROM jobs").fetchone()[0]) == 0
    database.close()


def test_calls_to_threads_that_hang_end_and_those_beyond_the_bound_are_refused_at_once() -> None:
    released, begun = threading.Event(), []

    async def main() -> None:
        threads = Threads("test", 2, 4)
        hanging = [asyncio.create_task(threads.run(released.wait, 0.3)) for _ in range(2)]
        waiting = [asyncio.create_task(threads.run(lambda: begun.append(1), 0.3)) for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(OSError, match="too many"):
            await threads.run(lambda: None, 9)
        ended = await asyncio.gather(*hanging, *waiting, return_exceptions=True)
        assert [type(each) for each in ended] == [TimeoutError] * 4
        released.set()
        await asyncio.sleep(0.1)
        assert await threads.run(lambda: 7, 9) == 7
        assert begun == [], "what nobody waits for any more is not done"
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0, 9)

    asyncio.run(main())


def test_a_fault_that_lasts_is_logged_once_and_its_end_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs").touch()
    store = store_in(tmp_path / "jobs")
    for _ in range(5):
        with pytest.raises(JobsUnavailable):
            now(store.survey(OWNER))
    assert caplog.text.count("jobs cannot be read or stored") == 1
    (tmp_path / "jobs").unlink()
    monkeypatch.setattr("api.jobs.faults._WELL", 0.0)
    now(store.survey(OWNER))
    now(store.survey(OWNER))
    assert caplog.text.count("jobs can be read and stored again") == 1
