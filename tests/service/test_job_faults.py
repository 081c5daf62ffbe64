"""The store of jobs may fail, the service may not: nothing is lost that was kept, and all is well once it is mended."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.errors import assert_error
from tests.support.figures import value, wait_for
from tests.support.leaving import ONE_STEP_SLICES
from tests.support.service import Server, StartServer, command_of
from tests.support.small_disk import full, is_full, mounted

REQUEST = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
SOON = 2.0
"""Seconds within which whatever has nothing to do with jobs answers, on a machine that has other work too."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted(tmp_path_factory.mktemp("disk"), 16) as folder:
        yield folder


@pytest.fixture(scope="module")
def server(start_server: StartServer, tiny_models: Path, disk: Path) -> Server:
    """A service whose jobs lie on a small disk."""
    running = start_server(tiny_models, XCUBE_JOBS_DIR=str(disk / "jobs"), XCUBE_MAX_VOXELS="40000", **ONE_STEP_SLICES)
    running.wait_until("ready")
    return running


@pytest.fixture(autouse=True)
def _the_rest_works(server: Server) -> Iterator[None]:
    yield
    assert server.generate(ddim_steps=1).status_code == 200
    assert add(server, use_fine=False, ddim_steps=1)["state"] == "pending"


def add(server: Server, **fields: Any) -> dict[str, Any]:
    answer = server.post("/jobs", json={**REQUEST, **fields})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def state(server: Server, job: dict[str, Any]) -> str:
    return str(server.get(f"/jobs/{job['id']}").json()["state"])


def finished(server: Server) -> dict[str, Any]:
    job = add(server)
    wait_for(lambda: state(server, job) == "completed")
    return job


def assert_the_service_is_well(server: Server) -> None:
    for call in (lambda: server.generate(ddim_steps=1), lambda: server.get("/metrics"), lambda: server.get("/health")):
        began = time.monotonic()
        assert call().status_code == 200
        assert time.monotonic() - began < SOON


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else can write to a database as long as the block runs."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_with_a_full_disk_jobs_are_read_and_removed_and_only_new_ones_are_refused(server: Server, disk: Path) -> None:
    done, other = finished(server), finished(server)
    waiting, running = add(server, ddim_steps=1000), add(server, ddim_steps=1000)
    result = server.get(f"/jobs/{done['id']}/result").content
    with full(disk):
        assert_error(server.post("/jobs", json=REQUEST), 507, "storage_full")
        assert state(server, done) == "completed"
        assert server.get(f"/jobs/{done['id']}/result").content == result
        assert_the_service_is_well(server)
        assert server.delete(f"/jobs/{running['id']}").json()["state"] == "canceled"
        assert server.delete(f"/jobs/{waiting['id']}").json()["state"] == "canceled"
        for job in (done, other):
            assert server.delete(f"/jobs/{job['id']}").status_code == 204
        assert not is_full(disk)
    assert finished(server)


def test_a_running_job_outlasts_a_full_disk(server: Server, disk: Path) -> None:
    job = add(server, ddim_steps=200)
    wait_for(lambda: server.get(f"/jobs/{job['id']}").json()["step"])
    with full(disk):
        step = server.get(f"/jobs/{job['id']}").json()["step"]
        time.sleep(4)
        assert server.get(f"/jobs/{job['id']}").json()["error"] is None
    wait_for(lambda: state(server, job) != "in_progress")
    assert state(server, job) == "completed", step
    assert server.get(f"/jobs/{job['id']}/result").content == server.generate(ddim_steps=200).content
    assert not list((disk / "jobs").glob("*.tmp"))


def test_a_locked_database_holds_up_nobody_but_new_jobs(server: Server, disk: Path) -> None:
    done = finished(server)
    with locked(disk / "jobs" / "jobs.sqlite"), ThreadPoolExecutor(40) as pool:
        posts = [pool.submit(server.post, "/jobs", json=REQUEST) for _ in range(40)]
        time.sleep(0.5)
        assert_the_service_is_well(server)
        assert state(server, done) == "completed"
        for post in posts:
            answer = post.result()
            assert_error(answer, 503, "jobs_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["retryable"]


@pytest.mark.parametrize("everything", [False, True])
def test_a_store_that_somebody_removed_is_made_again(server: Server, disk: Path, everything: bool) -> None:
    job = finished(server)
    if everything:
        shutil.rmtree(disk / "jobs")
    else:
        (disk / "jobs" / "jobs.sqlite").unlink()
    assert_error(server.get(f"/jobs/{job['id']}"), 404, "not_found")
    assert finished(server)


def test_a_folder_in_the_place_of_the_database_is_told_until_it_is_gone(server: Server, disk: Path) -> None:
    database = disk / "jobs" / "jobs.sqlite"
    database.unlink()
    database.mkdir()
    (database / "x").touch()
    answer = server.post("/jobs", json=REQUEST)
    assert "XCUBE_JOBS_DIR" in assert_error(answer, 503, "jobs_unavailable")
    assert str(disk) not in answer.text
    assert_the_service_is_well(server)
    shutil.rmtree(database)
    assert finished(server)


@pytest.mark.slow
def test_a_job_with_which_three_processes_die_is_not_tried_again(server: Server) -> None:
    begun = value(server, "xcube_job_attempts_total")
    job = add(server, ddim_steps=1000)
    for attempt in range(1, 4):
        wait_for(lambda attempt=attempt: value(server, "xcube_job_attempts_total") >= begun + attempt)  # type: ignore[misc]
        wait_for(lambda: state(server, job) == "in_progress")
        (process,) = [
            each for each in server.processes() if "XCube" in command_of(each) and "Sampler" not in command_of(each)
        ]
        process.kill()
        server.wait_until("ready")
    wait_for(lambda: state(server, job) == "failed")
    assert_error(server.get(f"/jobs/{job['id']}/result"), 422, "job_crashed")


def test_a_damaged_result_is_gone_and_never_half_of_one(server: Server, disk: Path) -> None:
    job = finished(server)
    (disk / "jobs" / f"{job['id']}.fine").unlink()
    assert_error(server.get(f"/jobs/{job['id']}/result"), 410, "result_gone")
    assert server.delete(f"/jobs/{job['id']}").status_code == 204
    assert not list((disk / "jobs").glob(f"{job['id']}*"))
