"""What a client sees of its jobs: lists of its own, and events that go on where it was cut off."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from api.http import job_events
from api.http.auth import Keys
from api.http.endpoints import Endpoints
from api.http.gate import Gate
from api.http.streaming import event_text
from api.jobs.store import NewJob, Place
from api.settings import Settings
from tests.support.errors import assert_error
from tests.support.job_store import MODELS, OWNER, REQUEST, SHAPE, added, claimed, completed, found, now, store_in

KEY = {"X-API-Key": "secret"}


class Jobs:
    """The jobs of a process that runs none itself."""

    def __init__(self, folder: Path, key: str | None) -> None:
        self.settings = Settings(jobs_dir=folder, api_key=None if key is None else SecretStr(key))
        self.store = store_in(folder)
        self.keys = Keys(self.settings.api_key)
        headers = {} if key is None else {"X-API-Key": key}
        self.client = self.keys.client("GET", "/jobs", Headers(headers), "203.0.113.1").name
        self.stopping = False

    async def stops_within(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return self.stopping


def asked(jobs: Jobs) -> TestClient:
    pages = Endpoints()
    pages.connect(SimpleNamespace(), jobs, dict)  # type: ignore[arg-type]
    app: Any = Gate(pages.app, 10_000, jobs.keys)
    return TestClient(app)


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def test_a_list_has_the_jobs_of_its_key_page_by_page_and_nobody_else_s(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, "secret")
    mine = [added(jobs.store, client=jobs.client).id for _ in range(5)][::-1]
    added(jobs.store, client=Jobs(tmp_path, "another").client)
    added(jobs.store, client=None)
    http = asked(jobs)
    assert ids(http.get("/jobs", headers=KEY)) == mine
    assert http.get("/jobs", headers=KEY).json()["next"] is None
    pages, before = [], ""
    while before is not None:
        added(jobs.store, client=jobs.client)  # those that come meanwhile move nothing
        answer = http.get(f"/jobs?limit=2{before and '&before=' + before}", headers=KEY)
        pages.append([id_ for id_ in ids(answer) if id_ in mine])
        before = answer.json()["next"]
    assert [id_ for page in pages for id_ in page] == mine
    assert (
        http.get("/jobs?limit=1", headers=KEY).json()["jobs"][0]
        == http.get(f"/jobs/{ids(http.get('/jobs?limit=1', headers=KEY))[0]}", headers=KEY).json()
    )


def test_a_list_has_the_jobs_in_one_state(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, "secret")
    first, second = (added(jobs.store, client=jobs.client).id for _ in range(2))
    claimed(jobs.store)
    http = asked(jobs)
    for state, expected in {"pending": [second], "in_progress": [first], "failed": []}.items():
        assert ids(http.get(f"/jobs?state={state}", headers=KEY)) == expected


@pytest.mark.parametrize(
    "query", ["state=lost", "limit=0", "limit=101", "limit=x", "before=x", "before=-1", f"before={2**63}", "page=2"]
)
def test_a_wrong_parameter_of_a_list_is_named(tmp_path: Path, query: str) -> None:
    answer = asked(Jobs(tmp_path, "secret")).get(f"/jobs?{query}", headers=KEY)
    assert query.partition("=")[0] in assert_error(answer, 400, "invalid_request")


def test_strangers_get_no_list(tmp_path: Path) -> None:
    open_, closed = Jobs(tmp_path, None), Jobs(tmp_path, "secret")
    added(open_.store, client=open_.client)
    assert "XCUBE_API_KEY" in assert_error(asked(open_).get("/jobs"), 403, "forbidden")
    assert_error(asked(closed).get("/jobs"), 401, "unauthorized")
    assert ids(asked(closed).get("/jobs", headers=KEY)) == []


def test_the_name_of_a_key_does_not_tell_the_key(tmp_path: Path) -> None:
    names = [Jobs(tmp_path, key).client for key in ("secret", "secret", "other")]
    assert names[0] == names[1] != names[2]
    assert "secret" not in str(names)


def test_a_seed_of_64_bits_is_told_as_text_too(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, None)
    record = now(jobs.store.add(NewJob(REQUEST, 2**64 - 1, None, None), 9))
    assert record is not None
    job = asked(jobs).get(f"/jobs/{record.id}").json()
    assert (job["seed"], job["seed_text"]) == (2**64 - 1, "18446744073709551615")


def events(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Id, name and data of each event."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "PERIOD", 0.02)


@pytest.mark.usefixtures("_quick")
def test_events_tell_the_way_of_a_job_to_its_end_and_a_client_that_was_cut_off_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(job_events, "event_text", lambda name, *rest: (sent.append(name), event_text(name, *rest))[1])
    jobs = Jobs(tmp_path, None)
    other, job = added(jobs.store), added(jobs.store)
    http = asked(jobs)
    store = store_in(tmp_path)

    async def told_events(count: int) -> None:
        async with asyncio.timeout(30):
            while len(sent) < count:
                await asyncio.sleep(0.01)

    def work() -> None:
        async def main() -> None:
            await told_events(1)
            await store.cancel(other.id)
            await told_events(2)
            await store.claim(OWNER, MODELS)
            for step in (1, 2):
                await told_events(2 + step)
                await store.beat(job.id, OWNER, Place("coarse", step, 4))
            await told_events(5)
            await store.beat(job.id, OWNER, Place("coarse", 2, 4))  # nothing has changed
            await store.finish(job.id, OWNER, SHAPE)

        asyncio.run(main())

    thread = threading.Thread(target=work)
    thread.start()
    answer = http.get(f"/jobs/{job.id}/events")
    thread.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    told = events(answer.text)
    assert [name for _, name, _ in told] == ["queued", "queued", "progress", "progress", "progress", "completed"]
    assert [data["position"] for _, _, data in told] == [2, 1, None, None, None, None]
    assert [data["step"] for _, _, data in told] == [None, None, None, 1, 2, 2]
    assert len({id_ for id_, _, _ in told}) == len(told)
    assert told[-1][2] == http.get(f"/jobs/{job.id}").json()
    for id_, _, _ in told[:-1]:
        again = events(http.get(f"/jobs/{job.id}/events", headers={"Last-Event-ID": id_}).text)
        assert again == told[-1:], "what is new, once"
    assert http.get(f"/jobs/{job.id}/events", headers={"Last-Event-ID": told[-1][0]}).status_code == 204
    assert events(http.get(f"/jobs/{job.id}/events", headers={"Last-Event-ID": "no id of ours"}).text) == told[-1:]


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("ended", ["failed", "canceled"])
def test_events_end_however_a_job_ends(tmp_path: Path, ended: str) -> None:
    jobs = Jobs(tmp_path, None)
    job = added(jobs.store)
    claimed(jobs.store)
    if ended == "failed":
        now(jobs.store.fail(job.id, OWNER, "empty_result", "There is nothing."))
    else:
        now(jobs.store.cancel(job.id))
    ((_, name, data),) = events(asked(jobs).get(f"/jobs/{job.id}/events").text)
    assert (name, data["state"]) == (ended, ended)


@pytest.mark.usefixtures("_quick")
def test_events_end_when_the_job_is_removed_or_the_process_stops(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, None)
    job = added(jobs.store)
    jobs.stopping = True
    ((id_, name, _),) = events(asked(jobs).get(f"/jobs/{job.id}/events").text)
    assert name == "queued"
    assert asked(jobs).get(f"/jobs/{job.id}/events", headers={"Last-Event-ID": id_}).text == "", "it goes on elsewhere"
    assert_error(asked(jobs).get("/jobs/none/events"), 404, "not_found")


@pytest.mark.usefixtures("_quick")
def test_events_outlast_a_sick_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs(tmp_path, None)
    job = completed(jobs.store)
    record = found(jobs.store, job.id)
    running = record.model_copy(update={"state": "in_progress", "changes": 1})
    answers: list[Any] = [running, OSError(5, "sick"), OSError(5, "sick"), record]

    def get(_: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(jobs.store._records, "get", get)
    assert [name for _, name, _ in events(asked(jobs).get(f"/jobs/{job.id}/events").text)] == ["progress", "completed"]
