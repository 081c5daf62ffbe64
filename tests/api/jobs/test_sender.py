"""Webhooks are delivered at least once, whatever happens on the way, and hold up nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from standardwebhooks import Webhook

from api.http.answer_schemas import ANSWERS
from api.jobs import sender as module
from api.jobs.record import Record
from api.jobs.sender import PAUSES, Sender, post
from api.jobs.store import NewJob, Store
from api.telemetry import metrics
from api.webhooks import Hosts, Webhooks
from tests.support.job_store import MODELS, OWNER, REQUEST, SHAPE, Place, claimed, found, now
from tests.support.receiver import SECRET, Receiver, receiving

HERE = Hosts("127.0.0.1")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.02)
    monkeypatch.setattr(module, "PAUSES", (0.05,) * len(PAUSES))


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What became of each attempt."""
    found: list[str] = []
    monkeypatch.setattr(metrics, "webhook", found.append)
    return found


def add(store: Store, url: str | None) -> Record:
    record = now(store.add(NewJob(REQUEST, 1, None, None, MODELS, webhook=url), 100))
    assert record is not None
    return record


def end(store: Store, job: Record, state: str = "completed") -> None:
    if state == "canceled":
        assert now(store.cancel(job.id))
        return
    assert claimed(store).id == job.id
    if state == "completed":
        assert now(store.finish(job.id, OWNER, SHAPE))
    else:
        assert now(store.fail(job.id, OWNER, "empty_result", "There is nothing."))


def ended(store: Store, url: str | None, state: str = "completed") -> Record:
    job = add(store, url)
    end(store, job, state)
    return job


def send(
    store: Store, until: Callable[[], object], hosts: Hosts = HERE, secret: str | None = SECRET, seconds: float = 20
) -> None:
    """Lets a sender work until something is so, and a little longer."""

    async def main() -> None:
        work = asyncio.create_task(Sender(store, Webhooks(hosts, secret), "/xcube").run())
        async with asyncio.timeout(seconds):
            while not until():
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.15)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work

    now(main())


def told(receiver: Receiver) -> list[Any]:
    """The bodies that came, each verified."""
    return [Webhook(SECRET).verify(body, headers) for _, headers, body in receiver.got]


@pytest.mark.parametrize("state", ["completed", "failed", "canceled"])
def test_the_end_of_a_job_is_told_once_signed_and_without_its_shape(
    place: Place, outcomes: list[str], state: str
) -> None:
    store = place.store()
    with receiving() as receiver:
        job = add(store, receiver.url + "hooks?a=b")
        assert now(store.deliveries(9, 60.0)) == []
        end(store, job, state)
        send(store, lambda: outcomes)
        (told_once,) = told(receiver)
    ((path, headers, _),) = receiver.got
    assert path == "/hooks?a=b"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == f"job_{job.id}"
    assert told_once["type"] == f"job.{state}"
    links = {"job": f"/xcube/jobs/{job.id}", "result": None}
    if state == "completed":
        links["result"] = f"/xcube/jobs/{job.id}/result"
    assert told_once["data"] == {"id": job.id, "state": state, "links": links}
    jsonschema.validate(told_once, ANSWERS["JobEnded"])
    assert outcomes == ["delivered"]


def test_a_job_without_a_webhook_tells_nobody(place: Place) -> None:
    store = place.store()
    ended(store, None)
    assert now(store.deliveries(9, 60.0)) == []


def test_a_receiver_that_fails_is_tried_again_with_the_same_id_until_it_takes_it(
    place: Place, outcomes: list[str]
) -> None:
    store = place.store()
    with receiving([500, 307, 404, 200]) as receiver:
        ended(store, receiver.url)
        send(store, lambda: "delivered" in outcomes)
        assert len(told(receiver)) == 4
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    assert {path for path, _, _ in receiver.got} == {"/"}, "redirects are not followed"
    assert outcomes == ["failed"] * 3 + ["delivered"]


def test_a_receiver_that_is_gone_gets_no_more(place: Place, outcomes: list[str]) -> None:
    store = place.store()
    with receiving([410]) as receiver:
        ended(store, receiver.url)
        send(store, lambda: outcomes)
        assert len(receiver.got) == 1
    assert outcomes == ["gone"]


def test_a_receiver_that_never_answers_is_given_up_after_the_last_try(place: Place, outcomes: list[str]) -> None:
    store = place.store()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    job = ended(store, url)
    send(store, lambda: "given_up" in outcomes)
    assert outcomes == ["failed"] * len(PAUSES) + ["given_up"]
    assert found(store, job.id).tries == len(PAUSES) + 1


def test_an_attempt_whose_process_died_is_made_by_another(place: Place, outcomes: list[str]) -> None:
    store, other = place.store(), place.store()
    with receiving() as receiver:
        job = ended(store, receiver.url)
        (leased,) = now(store.deliveries(9, 0.3))  # and then it is killed
        assert leased.id == job.id
        assert now(other.deliveries(9, 60.0)) == [], "two processes do not make the same attempt"
        began = time.monotonic()
        send(other, lambda: outcomes)
        assert time.monotonic() - began > 0.2
        assert len(told(receiver)) == 1
    assert outcomes == ["delivered"]


def test_slow_receivers_hold_up_neither_others_nor_jobs(
    place: Place, outcomes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWERING", 0.5)
    store = place.store()
    with receiving(seconds=1.0) as slow, receiving() as quick:
        for _ in range(3):
            ended(store, slow.url)
        ended(store, quick.url)
        send(store, lambda: "delivered" in outcomes)
        assert outcomes[0] == "delivered"
        ended(store, None)


def test_a_webhook_that_cannot_be_signed_any_more_is_given_up(place: Place, outcomes: list[str]) -> None:
    store = place.store()
    with receiving() as receiver:
        ended(store, receiver.url)
        send(store, lambda: outcomes, secret=None)
        assert receiver.got == []
    assert outcomes == ["given_up"]


def test_a_name_that_comes_to_stand_for_a_private_address_is_not_connected_to(
    outcomes: list[str], place: Place
) -> None:
    """As with DNS rebinding: what counts is the address of the connection, when it is made."""
    store = place.store()
    with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        ended(store, f"https://localhost:{port}")
        send(store, lambda: outcomes, hosts=Hosts(""))
        assert receiver.got == []
        with pytest.raises(OSError, match="not sent to this address"):
            now(post(receiver.url, b"{}", {}, lambda address: address != "127.0.0.1"))
        assert receiver.got == []
        asked: list[str] = []
        assert now(post(f"http://localhost:{port}", b"{}", {}, lambda each: bool(asked.append(each) or True))) == 204
        assert set(asked) <= {"127.0.0.1", "::1"}
        assert json.loads(receiver.got[0][2]) == {}
    assert outcomes[0] == "failed"
