"""What a key may have in a time, counted for all processes of a service."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from api.clients import ANYBODY, Client, Quota
from api.errors import Forbidden, QuotaExceeded
from api.process import shared_state
from api.process.shared_state import SharedState
from api.quotas import Quotas

NOBODY = 2**31 - 5
"""A process id that there is not."""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def client(name: str = "web", requests: int | None = None, steps: int | None = None) -> Client:
    return Client(name, name=name, quota=Quota(requests, steps))


def test_a_key_has_its_requests_again_as_time_goes_by() -> None:
    clock, web = Clock(), client(requests=3)
    quotas = Quotas(SharedState("test"), clock)
    for _ in range(3):
        quotas.spend(web, 10)
    with pytest.raises(QuotaExceeded, match="3 requests a minute") as caught:
        quotas.spend(web, 10)
    assert caught.value.retry_after == pytest.approx(20)
    clock.now += 20
    quotas.spend(web, 10)
    with pytest.raises(QuotaExceeded):
        quotas.spend(web, 10)
    clock.now += 1e6
    for _ in range(3):
        quotas.spend(web, 10)
    with pytest.raises(QuotaExceeded):
        quotas.spend(web, 10)


def test_steps_are_counted_and_a_request_that_never_fits_is_told_so() -> None:
    clock, web = Clock(), client(steps=1000)
    quotas = Quotas(SharedState("test"), clock)
    with pytest.raises(Forbidden, match="1000 steps a day, and the request needs 2000"):
        quotas.spend(web, 2000)
    quotas.spend(web, 900)
    with pytest.raises(QuotaExceeded) as caught:
        quotas.spend(web, 200)
    assert caught.value.retry_after == pytest.approx(86_400 / 10)
    quotas.spend(web, 100)


def test_what_is_refused_costs_nothing_of_any_quota() -> None:
    web = client(requests=10, steps=100)
    quotas = Quotas(SharedState("test"), Clock())
    quotas.spend(web, 90)
    for _ in range(20):
        with pytest.raises(QuotaExceeded, match="steps a day"):
            quotas.spend(web, 20)
    quotas.give_back(web, 90)
    for _ in range(10):
        quotas.spend(web, 10)
    with pytest.raises(QuotaExceeded, match="requests a minute"):
        quotas.spend(web, 0)


def test_keys_do_not_spend_what_is_others_and_who_has_no_quota_has_no_limit() -> None:
    quotas = Quotas(SharedState("test"), Clock())
    quotas.spend(client("one", requests=1), 1)
    quotas.spend(client("two", requests=1), 1)
    for _ in range(100):
        quotas.spend(ANYBODY, 10**6)
        quotas.spend(client("three"), 10**6)


def test_processes_of_one_service_count_together(folder: Path) -> None:
    web = client(requests=2)
    one, other = (Quotas(SharedState("test", NOBODY), Clock()) for _ in range(2))
    one.spend(web, 1)
    other.spend(web, 1)
    for quotas in (one, other, Quotas(SharedState("test", NOBODY), Clock())):
        with pytest.raises(QuotaExceeded):
            quotas.spend(web, 1)
    Quotas(SharedState("test", NOBODY - 1), Clock()).spend(web, 1)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("content", [b"{", b"\xff"])
def test_a_process_that_finds_the_file_damaged_goes_on_with_what_it_knows(folder: Path, content: bytes) -> None:
    web, quotas = client(requests=2), Quotas(SharedState("test", NOBODY), Clock())
    quotas.spend(web, 1)
    (file,) = folder.iterdir()
    file.write_bytes(content)
    quotas.spend(web, 1)
    for each in (quotas, Quotas(SharedState("test", NOBODY), Clock())):
        with pytest.raises(QuotaExceeded):
            each.spend(web, 1)


def test_where_no_file_can_be_shared_a_process_counts_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "nowhere"))
    web, quotas = client(requests=1), Quotas(SharedState("test", NOBODY), Clock())
    quotas.spend(web, 1)
    with pytest.raises(QuotaExceeded):
        quotas.spend(web, 1)
    assert len(caplog.messages) == 1


def test_a_start_removes_what_services_before_have_left(folder: Path) -> None:
    for service in (NOBODY, os.getpid(), os.getppid()):
        with SharedState("test", service).changing():
            pass
    shared_state.begin()
    (left,) = folder.iterdir()
    assert f"-{os.getppid()}-" in left.name
