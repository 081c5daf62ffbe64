"""Jobs: their way from pending to a result, their end on request, and what a dying service does not cost them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.errors import assert_error
from tests.support.figures import value, wait_for
from tests.support.leaving import LONG, ONE_STEP_SLICES
from tests.support.saved_models import save_models
from tests.support.service import AT_ONCE, Server, StartServer

pytestmark = pytest.mark.shared("server")
REQUEST = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
RESUMED = {**LONG, "ddim_steps": 200}
"""Takes long enough for a service to end in its midst, and is computed to its end, twice."""


@pytest.fixture(scope="module")
def server(start_server: StartServer, tiny_models: Path) -> Server:
    """A service whose long jobs are under way for longer than the second after which a job is saved."""
    running = start_server(tiny_models, **ONE_STEP_SLICES)
    running.wait_until("ready")
    return running


def add(server: Server, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    answer = server.post("/jobs", json={**REQUEST, **fields}, headers=headers)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    return job


def wait(server: Server, job: dict[str, Any], *states: str, step: int = 0) -> dict[str, Any]:
    """Waits until a job is in one of some states and has taken some steps."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        now: dict[str, Any] = server.get(f"/jobs/{job['id']}").json()
        if now["state"] in states and (now["step"] or 0) >= step:
            return now
        assert now["state"] in ("pending", "in_progress"), now
        time.sleep(0.1)
    raise AssertionError(now)


def test_a_job_has_the_result_of_generate_in_every_format(server: Server) -> None:
    job = add(server)
    assert (job["seed"], job["error"]) == (1, None)
    done = wait(server, job, "completed")
    assert done["expires"] > done["ended"] >= done["started"] >= done["created"]
    result = server.get(f"/jobs/{job['id']}/result")
    assert result.content == server.generate().content
    assert result.headers["x-seed"] == "1"
    ply = server.get(f"/jobs/{job['id']}/result?format=ply")
    assert ply.content.startswith(b"ply")
    assert ply.content == server.post("/generate?format=ply", json=REQUEST).content


def test_before_its_end_a_job_has_a_place_in_the_queue_and_no_result(server: Server) -> None:
    first, second, third = (add(server, ddim_steps=1000, seed=seed) for seed in range(3))
    waiting = server.get(f"/jobs/{third['id']}").json()
    assert (waiting["state"], waiting["position"]) == ("pending", waiting["position"])
    assert waiting["position"] >= 1
    error = server.get(f"/jobs/{third['id']}/result")
    assert_error(error, 409, "job_not_finished")
    assert int(error.headers["retry-after"]) >= 1
    wait(server, first, "in_progress", step=1)
    for job in (third, second, first):
        server.delete(f"/jobs/{job['id']}")


def test_a_job_that_is_deleted_stops_and_then_is_forgotten(server: Server) -> None:
    job = add(server, ddim_steps=1000)
    wait(server, job, "in_progress", step=1)
    assert server.delete(f"/jobs/{job['id']}").json()["state"] == "canceled"
    assert_error(server.get(f"/jobs/{job['id']}/result"), 409, "job_canceled")
    after = add(server)
    wait(server, after, "completed")
    for one in (job, after):
        assert server.delete(f"/jobs/{one['id']}").status_code == 204
        assert_error(server.get(f"/jobs/{one['id']}"), 404, "not_found")
        assert_error(server.get(f"/jobs/{one['id']}/result"), 404, "not_found")


def test_an_idempotency_key_makes_one_job_of_two_requests(server: Server) -> None:
    key = {"Idempotency-Key": "order 7"}
    first = add(server, key, seed=None)
    assert add(server, key, seed=None)["id"] == first["id"]
    assert_error(server.post("/jobs", json={**REQUEST, "prompt": "other"}, headers=key), 409, "idempotency_conflict")
    assert add(server)["id"] != first["id"]
    wait(server, first, "completed")


@pytest.mark.parametrize(
    ("body", "status", "code"), [({"prompt": ""}, 400, "invalid_request"), ({}, 400, "invalid_request")]
)
def test_a_wrong_job_is_refused(server: Server, body: Any, status: int, code: str) -> None:
    assert_error(server.post("/jobs", json=body), status, code)
    assert_error(server.get("/jobs/..%2f..%2fetc"), 404, "not_found")


def test_ended_jobs_expire_with_their_files_and_waiting_ones_are_bounded(
    start_server: StartServer, tiny_models: Path, tmp_path: Path
) -> None:
    settings = {"XCUBE_JOBS_DIR": str(tmp_path), "XCUBE_JOB_RETENTION_SECONDS": "1", "XCUBE_MAX_JOBS": "1"}
    small = start_server(tiny_models, **settings)
    small.wait_until("ready")
    job = add(small, use_fine=False, ddim_steps=1)
    wait_for(lambda: small.get(f"/jobs/{job['id']}").status_code == 404)
    assert not list(tmp_path.glob(f"{job['id']}*"))
    running = add(small, ddim_steps=1000)
    wait(small, running, "in_progress")
    variants = small.post("/jobs", json={**REQUEST, "n": 2})
    assert_error(variants, 429, "queue_full")
    add(small)  # there is room, since of the variants none was added
    assert_error(small.post("/jobs", json=REQUEST), 429, "queue_full")
    assert small.get(f"/jobs/{running['id']}").status_code == 200


def test_without_a_folder_for_jobs_everything_else_works(single: Server) -> None:
    error = assert_error(single.post("/jobs", json=REQUEST), 503, "jobs_unavailable")
    assert "XCUBE_JOBS_DIR" in error
    assert "/proc" not in error
    assert single.generate().status_code == 200
    assert single.get("/jobs/x").status_code == 503


def test_events_go_on_after_the_last_one_that_was_seen(server: Server) -> None:
    job = add(server, ddim_steps=1000)
    wait(server, job, "in_progress", step=1)
    with httpx.stream("GET", f"{server.url}/jobs/{job['id']}/events", timeout=60) as events:
        seen = next(line.removeprefix("id: ") for line in events.iter_lines() if line.startswith("id: "))
    server.delete(f"/jobs/{job['id']}")
    rest = server.get(f"/jobs/{job['id']}/events", headers={"Last-Event-ID": seen}).text
    assert [line for line in rest.splitlines() if line.startswith("event: ")] == ["event: canceled"]


@pytest.fixture(scope="module")
def interrupted(server: Server, start_server: StartServer, tiny_models: Path) -> tuple[Path, dict[str, Any]]:
    """A folder with a job whose service was killed, and the next one stopped; and the job as that one showed it.

    For the last tests of the module, since the server is gone then.
    """
    jobs = Path(server.environment["XCUBE_JOBS_DIR"])
    job = add(server, **RESUMED)
    killed = wait(server, job, "in_progress", step=10)
    server.kill()

    stopped = start_server(tiny_models, XCUBE_JOBS_DIR=str(jobs), **ONE_STEP_SLICES)
    stopped.wait_until("ready")
    shown = wait(stopped, job, "in_progress", step=killed["step"] + 1)
    with httpx.stream("GET", f"{stopped.url}/jobs/{job['id']}/events", timeout=60) as events:
        assert stopped.stop(within=AT_ONCE) == 0, "who reads events is not waited for"
        assert "event: progress" in events.read().decode()
    assert list(jobs.glob("*.state")), "nothing was saved for the next service"
    return jobs, shown


@pytest.mark.timeout(900)
def test_a_job_outlives_the_service_and_has_the_same_result(
    interrupted: tuple[Path, dict[str, Any]], start_server: StartServer, tiny_models: Path, tmp_path: Path
) -> None:
    saved, shown = interrupted
    jobs = Path(shutil.copytree(saved, tmp_path / "jobs"))
    last = start_server(tiny_models, XCUBE_JOBS_DIR=str(jobs))
    last.wait_until("ready")
    resumed = wait(last, shown, "in_progress", "completed", step=1)
    assert (resumed["stage"], resumed["step"]) >= (shown["stage"], shown["step"])
    wait(last, shown, "completed")
    result = last.get(f"/jobs/{shown['id']}/result")
    assert result.content == last.generate(**RESUMED).content
    assert not list(jobs.glob("*.state"))


@pytest.mark.timeout(900)
def test_a_job_that_meets_other_models_after_a_restart_waits_for_its_own_and_says_so(
    interrupted: tuple[Path, dict[str, Any]], start_server: StartServer, tmp_path: Path
) -> None:
    saved, shown = interrupted
    jobs = shutil.copytree(saved, tmp_path / "jobs")
    with contextlib.closing(sqlite3.connect(jobs / "jobs.sqlite")) as database, database:
        database.execute("UPDATE offers SET seen = seen - 100")
    save_models(tmp_path / "others", seed=10)
    after = start_server(tmp_path / "others", XCUBE_JOBS_DIR=str(jobs), BENTOML_HOME=str(tmp_path))
    after.wait_until("ready")
    own = add(after)
    assert own["models"] == {name: model_version(after, name) for name in ("text", "coarse", "fine")}
    wait(after, own, "completed")
    waiting = after.get(f"/jobs/{shown['id']}").json()
    assert (waiting["state"], waiting["waits_for"], waiting["position"]) == ("pending", "models", None)
    assert waiting["models"] == shown["models"] != own["models"]
    assert (value(after, "xcube_jobs_waiting"), value(after, "xcube_jobs", state="pending")) == (0, 1)


def model_version(server: Server, name: str) -> str:
    (version,) = server.get(f"/v2/models/{name}").json()["versions"]
    return str(version)
