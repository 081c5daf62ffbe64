"""What a service keeps in the temporary folder outlives those who clean up there."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from api.process import temporary
from api.process.temporary import Keeper, unusable

PERIOD = 0.01


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kept"
    made.mkdir()
    return made


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(PERIOD)


def is_locked(folder: Path) -> bool:
    """Whether a cleaner that asks for the lock, as systemd's does, would leave the folder alone."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_a_folder_that_is_removed_is_made_again_and_locked_again(folder: Path) -> None:
    def make(missing: Path) -> bool:
        missing.mkdir()
        return True

    keeper = Keeper(folder, make, period=PERIOD)
    try:
        for _ in range(2):
            wait_for(lambda: is_locked(folder))
            shutil.rmtree(folder)
            wait_for(folder.exists)
    finally:
        keeper.end()


def test_a_file_that_is_removed_is_told_once_where_the_keeping_ends(folder: Path) -> None:
    file = folder / "file"
    file.touch()
    told: list[Path] = []
    Keeper(folder, lambda missing: bool(told.append(missing)), lambda: [file], PERIOD)
    time.sleep(5 * PERIOD)
    assert told == []
    file.unlink()
    wait_for(lambda: told)
    time.sleep(5 * PERIOD)
    assert told == [file]


def test_what_cannot_be_made_again_is_tried_again_and_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    tries = 0
    worked = threading.Event()

    def make(missing: Path) -> bool:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise OSError("disk full")
        missing.mkdir()
        worked.set()
        return True

    keeper = Keeper(folder, make, period=PERIOD)
    folder.rmdir()
    try:
        assert worked.wait(10)
    finally:
        keeper.end()
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder} is gone and cannot be created again: disk full"
    ]


def test_files_that_nobody_writes_to_are_touched_so_that_they_do_not_look_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary, "TOUCH_SECONDS", 2 * PERIOD)
    file = folder / "file"
    file.touch()
    for path in (file, folder):
        os.utime(path, (0, 0))
    keeper = Keeper(folder, bool, period=PERIOD)
    try:
        wait_for(lambda: min(path.stat().st_mtime for path in (file, folder)) > time.time() - 3600)
    finally:
        keeper.end()


def test_a_temporary_folder_that_cannot_be_used_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unusable() is None
    deep = tmp_path / ("x" * 90)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert "too long for a socket: set TMPDIR to a shorter one." in str(unusable())

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    assert unusable() == "There is no temporary folder that can be written to: set TMPDIR to one."
