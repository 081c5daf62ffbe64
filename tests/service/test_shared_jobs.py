"""Services that share their jobs: each takes, runs, shows and cancels any, whatever happens to the others."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cut_network import Relay, relay
from tests.support.errors import assert_error
from tests.support.figures import total, value, wait_for
from tests.support.leaving import LONG, ONE_STEP_SLICES
from tests.support.postgres import PASSWORD, QUOTED, Postgres, postgres
from tests.support.s3 import CREDENTIALS, make_bucket, s3
from tests.support.service import AT_ONCE, Server, StartServer, own_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REQUEST = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}
RESUMED = {**LONG, "ddim_steps": 200}
SOON = 2.0
KEY = {"X-API-Key": "secret"}


@dataclass
class Shared:
    """What services share, and the networks between them and the database. The service `front` runs no jobs."""

    database: Postgres
    bucket: Relay
    networks: list[Relay]
    front: Server
    back: Server
    start: Any
    more: list[Server] = field(default_factory=list)

    def another(self, network: Relay) -> Server:
        """One more service that runs jobs, once its network is mended."""
        network.cut()
        self.more.append(self.start(network, "1"))
        return self.more[-1]


@pytest.fixture(scope="module")
def shared(start_server: StartServer, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    log = tmp_path_factory.mktemp("s3") / "log"
    with postgres() as database, s3(log) as url, contextlib.ExitStack() as stack:
        make_bucket(url, "results")
        bucket = stack.enter_context(relay(int(url.rpartition(":")[2])))
        networks = [stack.enter_context(relay(database.port)) for _ in range(3)]

        def start(network: Relay, most_running: str) -> Server:
            running = start_server(
                tiny_models, **CREDENTIALS, **ONE_STEP_SLICES, XCUBE_JOBS_URL=database.url_at(network.port),
                XCUBE_RESULTS_URL=f"s3://results/jobs?endpoint=http://127.0.0.1:{bucket.port}",
                XCUBE_MAX_RUNNING_JOBS=most_running,
            )  # fmt: skip
            running.wait_until("ready")
            return running

        front, back = start(networks[0], "0"), start(networks[1], "1")
        yield Shared(database, bucket, networks, front, back, start)
        for server in (front, back):
            logged = server.log.read_text()
            assert "Traceback" not in logged
            assert PASSWORD not in logged
            assert QUOTED not in logged
            assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in logged


def add(server: Server, **fields: Any) -> dict[str, Any]:
    answer = server.post("/jobs", json={**REQUEST, **fields})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def show(server: Server, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/jobs/{job['id']}").json()
    return found


def reach(server: Server, job: dict[str, Any], state: str, step: int = 0) -> dict[str, Any]:
    """Waits until a job is in a state, and has taken some steps."""
    wait_for(lambda: show(server, job).get("state") == state and (show(server, job)["step"] or 0) >= step)
    return show(server, job)


def assert_the_service_is_well(server: Server) -> None:
    for call in (lambda: server.generate(ddim_steps=1), lambda: server.get("/metrics"), lambda: server.get("/health")):
        began = time.monotonic()
        assert call().status_code == 200
        assert time.monotonic() - began < SOON


def test_a_job_that_one_service_took_is_run_by_another_and_shown_by_both(shared: Shared) -> None:
    job = add(shared.front)
    for server in (shared.front, shared.back):
        reach(server, job, "completed")
        result = server.get(f"/jobs/{job['id']}/result")
        assert result.content == shared.front.generate().content
    assert value(shared.front, "xcube_job_attempts_total") == 0
    wait_for(lambda: value(shared.front, "xcube_jobs", state="completed") == 1)


def test_events_and_their_end_go_on_at_another_service(shared: Shared) -> None:
    job = add(shared.front, ddim_steps=1000)
    reach(shared.front, job, "in_progress", step=1)
    with httpx.stream("GET", f"{shared.front.url}/jobs/{job['id']}/events", timeout=60) as events:
        seen = next(line.removeprefix("id: ") for line in events.iter_lines() if line.startswith("id: "))
    assert shared.front.delete(f"/jobs/{job['id']}").json()["state"] == "canceled"
    rest = shared.back.get(f"/jobs/{job['id']}/events", headers={"Last-Event-ID": seen}).text
    assert [line for line in rest.splitlines() if line.startswith("event: ")] == ["event: canceled"]
    after = add(shared.back)
    reach(shared.front, after, "completed")


def test_a_job_outlives_the_service_that_ran_it_and_has_the_same_bytes(shared: Shared) -> None:
    third = shared.another(shared.networks[2])
    before = total(third, "xcube_denoise_steps_total")
    job = add(shared.front, **RESUMED)
    reach(shared.front, job, "in_progress", step=20)
    shared.back.kill()
    shared.networks[2].mend()
    wait_for(lambda: value(third, "xcube_job_attempts_total") == 1)
    reach(shared.front, job, "completed")
    steps = 2 * RESUMED["ddim_steps"]
    assert total(third, "xcube_denoise_steps_total") - before <= steps - 10, "it went on from the last slice"
    result = shared.front.get(f"/jobs/{job['id']}/result")
    assert result.content == third.generate(**RESUMED).content
    assert value(third, "xcube_jobs", state="completed") >= 1
    shared.back = third


def test_a_database_that_restarts_costs_no_job_and_holds_up_nothing_else(shared: Shared) -> None:
    running, waiting = add(shared.front, ddim_steps=300), add(shared.front)
    reach(shared.front, running, "in_progress", step=2)
    shared.database.stop()
    answer = shared.front.get(f"/jobs/{waiting['id']}")
    assert_error(answer, 503, "jobs_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert_error(shared.front.post("/jobs", json=REQUEST), 503, "jobs_unavailable")
    for server in (shared.front, shared.back):
        assert_the_service_is_well(server)
    time.sleep(3)
    shared.database.start()
    for job in (running, waiting):
        reach(shared.front, job, "completed")
    assert value(shared.back, "xcube_job_attempts_total") >= 2
    result = shared.front.get(f"/jobs/{running['id']}/result").content
    assert result == shared.back.generate(ddim_steps=300).content


def test_a_bucket_that_is_away_costs_no_job_and_holds_up_nothing_else(shared: Shared) -> None:
    done, running = add(shared.front), add(shared.front, ddim_steps=200)
    reach(shared.front, done, "completed")
    reach(shared.front, running, "in_progress", step=2)
    shared.bucket.cut()
    waiting = add(shared.front)
    assert show(shared.front, waiting)["state"] == "pending"
    for server in (shared.front, shared.back):
        assert_the_service_is_well(server)
    time.sleep(12)  # longer than the lease: who waits for the bucket still has the job
    assert show(shared.front, running)["state"] == "in_progress"
    shared.bucket.mend()
    for job in (running, waiting):
        reach(shared.front, job, "completed")
        assert shared.front.get(f"/jobs/{job['id']}/result").status_code == 200
    assert shared.front.get(f"/jobs/{done['id']}/result").status_code == 200


def test_a_service_that_was_cut_off_loses_its_job_to_another_and_only_one_result_counts(shared: Shared) -> None:
    cut = shared.networks[2]  # before the service that took the place of the one that was killed
    other = shared.another(shared.networks[1])
    job = add(shared.front, **RESUMED)
    reach(shared.front, job, "in_progress", step=20)
    cut.cut()
    shared.networks[1].mend()
    wait_for(lambda: value(other, "xcube_job_attempts_total") == 1, seconds=90)
    assert_the_service_is_well(shared.back)
    assert_error(shared.back.get(f"/jobs/{job['id']}"), 503, "jobs_unavailable")
    cut.mend()
    reach(shared.front, job, "completed")
    wait_for(lambda: shared.back.get(f"/jobs/{job['id']}").status_code == 200)
    assert show(shared.back, job)["state"] == "completed"
    result = shared.back.get(f"/jobs/{job['id']}/result").content
    assert result == shared.back.generate(**RESUMED).content
    assert value(other, "xcube_job_attempts_total") == 1


def test_a_service_that_is_told_to_end_hands_its_job_on(shared: Shared) -> None:
    servers = shared.more[-2:]
    before = [value(server, "xcube_job_attempts_total") for server in servers]
    job = add(shared.front, **RESUMED)
    reach(shared.front, job, "in_progress", step=10)
    first = next(
        place for place, server in enumerate(servers) if value(server, "xcube_job_attempts_total") > before[place]
    )
    assert servers[first].stop(within=AT_ONCE) == 0
    reach(shared.front, job, "completed")
    assert value(servers[1 - first], "xcube_job_attempts_total") == before[1 - first] + 1
    result = shared.front.get(f"/jobs/{job['id']}/result").content
    assert result == shared.front.generate(**RESUMED).content


def test_a_service_ends_at_once_though_its_database_hangs(shared: Shared) -> None:
    """The last test with the service in front."""
    shared.networks[0].cut()
    time.sleep(2)
    assert shared.front.stop(within=AT_ONCE) == 0


def test_a_service_does_not_start_with_a_wrong_address(shared: Shared, tmp_path: Path) -> None:
    environment = own_environment(tmp_path, XCUBE_JOBS_URL=shared.database.url, XCUBE_PORT="1")
    done = subprocess.run(
        [sys.executable, "-m", "cli.serve"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "XCUBE_JOBS_URL is set but needs XCUBE_RESULTS_URL" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
