"""Clients with keys of their own: each sees its own jobs alone, and has its own quotas and idempotency keys."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from api.clients import Client
from api.errors import Unauthorized
from api.http.auth import Keys
from api.http.endpoints import Endpoints
from api.http.gate import Gate
from api.keys import KeyFile
from api.messages import Status
from api.process.shared_state import SharedState
from api.quotas import Quotas
from api.schemas import LOADING
from api.settings import Settings
from api.webhooks import Hosts, Webhooks
from tests.support.errors import assert_error
from tests.support.job_store import OWNER, SHAPE, claimed, found, now, store_in
from tests.support.receiver import SECRET

BODY = {"prompt": "a chair", "ddim_steps": 10, "seed": 1}
WEB, LAB, OPERATOR = ({"X-API-Key": key} for key in ("web's key", "lab's key", "the operator's"))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    path = tmp_path / "keys.json"
    web = {"name": "web", "key": "web's key", "priority": "high", "requests_per_minute": 3, "waiting_jobs": 2}
    lab = {"name": "lab", "key": "lab's key", "steps_per_day": 50, "webhook_secret": SECRET}
    path.write_text(json.dumps({"keys": [web, lab]}))
    return Keys(SecretStr("the operator's"), KeyFile(path))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return store_in(tmp_path / "jobs")


@pytest.fixture
def http(keys: Keys, store: Any, tmp_path: Path) -> TestClient:
    pages = Endpoints()
    runner = SimpleNamespace(wake=lambda: None, drop=lambda _: None)
    webhooks = Webhooks(Hosts("hooks.internal"), None, KeyFile(tmp_path / "keys.json"))
    jobs = SimpleNamespace(
        settings=Settings(), store=store, runner=runner, quotas=Quotas(SharedState("test")), webhooks=webhooks
    )
    readiness = SimpleNamespace(status=lambda: Status(health=LOADING), check_network=lambda _: None)
    pages.connect(readiness, jobs, dict)  # type: ignore[arg-type]
    return TestClient(Gate(pages.app, 10_000, keys), client=("203.0.113.9", 1))


def client(keys: Keys, key: dict[str, str] | None, path: str = "/generate") -> Client:
    return keys.client("POST", path, Headers(key), "203.0.113.1")


def test_a_key_of_a_file_is_a_share_of_its_own_and_a_single_key_tells_nobody_apart(keys: Keys) -> None:
    assert (client(keys, WEB).share, client(keys, WEB).weight) == ("web", 4.0)
    assert client(keys, {"Authorization": "Bearer lab's key"}).share == "lab"
    operator = client(keys, OPERATOR)
    assert (operator.share, operator.alone) == ("203.0.113.1", False)
    assert client(keys, None, "/health").share == "203.0.113.1"
    for key in (None, {"X-API-Key": "other"}, {"X-API-Key": ""}, {"Authorization": "web's key"}):
        with pytest.raises(Unauthorized):
            client(keys, key)


def test_of_ipv6_a_site_is_one_client() -> None:
    shares = {
        address: Keys(None).client("POST", "/generate", Headers(), address).share
        for address in ("2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1", "203.0.113.1", "", "testclient")
    }
    assert shares["2001:db8::1"] == shares["2001:db8::2:3"] != shares["2001:db8:0:1::1"]
    assert [shares[each] for each in ("203.0.113.1", "", "testclient")] == ["203.0.113.1", "", "testclient"]


def test_a_key_sees_its_own_jobs_alone_and_the_single_key_all_whose_ids_it_knows(http: TestClient, store: Any) -> None:
    job = http.post("/jobs", json=BODY, headers=WEB).json()["id"]
    assert found(store, job).client == found(store, job).share == "web"
    assert found(store, job).cost == 20 / 4, "steps of both stages, less for a high priority"
    for path in (f"/jobs/{job}", f"/jobs/{job}/result", f"/jobs/{job}/events"):
        assert_error(http.get(path, headers=LAB), 404, "not_found")
    assert_error(http.delete(f"/jobs/{job}", headers=LAB), 404, "not_found")
    assert [each["id"] for each in http.get("/jobs", headers=WEB).json()["jobs"]] == [job]
    assert http.get("/jobs", headers=LAB).json()["jobs"] == []
    assert http.get(f"/jobs/{job}", headers=OPERATOR).status_code == 200
    assert http.get("/jobs", headers=OPERATOR).json()["jobs"] == []
    assert http.delete(f"/jobs/{job}", headers=WEB).json()["state"] == "canceled"


def test_an_idempotency_key_is_the_client_s_own(http: TestClient) -> None:
    key = {"Idempotency-Key": "order 7"}
    ids = [http.post("/jobs", json=BODY, headers=who | key).json()["id"] for who in (WEB, LAB, OPERATOR, WEB)]
    assert len(set(ids)) == 3
    assert ids[3] == ids[0]
    assert_error(http.post("/jobs", json={**BODY, "seed": 2}, headers=WEB | key), 409, "idempotency_conflict")


def test_a_key_that_has_had_its_quota_is_told_when_to_come_back(http: TestClient, store: Any) -> None:
    for _ in range(2):
        assert http.post("/jobs", json=BODY, headers=LAB).status_code == 202
    spent = http.post("/jobs", json=BODY, headers=LAB)
    assert "50 steps a day" in assert_error(spent, 429, "quota_exceeded")
    assert int(spent.headers["retry-after"]) > 3600
    assert http.post("/jobs", json={**BODY, "use_fine": False}, headers=LAB).status_code == 202
    assert_error(http.post("/jobs", json={**BODY, "ddim_steps": 100}, headers=LAB), 403, "forbidden")
    assert http.post("/jobs", json={**BODY, "ddim_steps": 100}, headers=OPERATOR).status_code == 202


def test_too_many_waiting_jobs_of_a_key_are_refused_and_cost_no_request(http: TestClient, store: Any) -> None:
    for _ in range(2):
        assert http.post("/jobs", json=BODY, headers=WEB).status_code == 202
    for _ in range(5):
        assert "2 jobs waiting" in assert_error(http.post("/jobs", json=BODY, headers=WEB), 429, "quota_exceeded")
    job = claimed(store)
    assert now(store.finish(job.id, OWNER, SHAPE))
    assert http.post("/jobs", json=BODY, headers=WEB).status_code == 202
    assert "3 requests a minute" in assert_error(http.post("/jobs", json=BODY, headers=WEB), 429, "quota_exceeded")


def test_a_job_keeps_where_its_end_is_told_and_where_it_never_is_the_job_is_refused(
    http: TestClient, store: Any
) -> None:
    url = "http://hooks.internal:9000/x"
    key = {"Idempotency-Key": "one"}
    job = http.post("/jobs", json={**BODY, "webhook": url}, headers=LAB | key).json()["id"]
    assert found(store, job).webhook == url
    assert "webhook" not in found(store, job).request
    again = http.post("/jobs", json={**BODY, "webhook": url}, headers=LAB | key)
    assert again.json()["id"] == job
    assert_error(http.post("/jobs", json=BODY, headers=LAB | key), 409, "idempotency_conflict")
    for wrong in ("http://example.org/", "https://10.0.0.1/", "", "x" * 3000, 5):
        refused = http.post("/jobs", json={**BODY, "webhook": wrong}, headers=LAB)
        assert "webhook" in assert_error(refused, 400, "invalid_request")
    assert_error(http.post("/jobs", json={**BODY, "webhook": url}, headers=WEB), 403, "forbidden")
    assert http.post("/jobs", json={**BODY, "webhook": None, "use_fine": False}, headers=LAB).status_code == 202


def test_only_jobs_take_a_webhook(http: TestClient) -> None:
    refused = http.post("/generate", json={**BODY, "webhook": "https://example.org/"}, headers=OPERATOR)
    assert "webhook is not a known field" in assert_error(refused, 400, "invalid_request")
