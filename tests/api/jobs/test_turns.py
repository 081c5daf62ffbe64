"""Jobs of several clients take turns, and each comes to be the first."""

from __future__ import annotations

import pytest

from api.errors import QuotaExceeded
from api.jobs.record import Record
from api.jobs.store import NewJob, Store
from tests.support.job_store import MODELS, OWNER, REQUEST, SHAPE, Place, claimed, found, now


def add(store: Store, share: str, cost: float = 100.0, most_own: int | None = None) -> Record:
    job = NewJob(REQUEST, 1, None, share, MODELS, share=share, cost=cost, most_own=most_own)
    record = now(store.add(job, 1000))
    assert record is not None
    assert record.id == job.id
    return record


def taken(store: Store, count: int) -> list[str | None]:
    """Whose jobs are taken one after the other, each when the one before it has ended."""
    shares = []
    for _ in range(count):
        job = claimed(store)
        shares.append(job.share)
        assert now(store.finish(job.id, OWNER, SHAPE))
    return shares


def test_who_adds_many_jobs_does_not_keep_others_waiting(place: Place) -> None:
    store = place.store()
    for _ in range(5):
        add(store, "many")
    first = claimed(store)
    for _ in range(2):
        add(store, "few")
    assert now(store.finish(first.id, OWNER, SHAPE))
    assert taken(store, 6) == ["few", "many", "few", "many", "many", "many"]


def test_what_costs_more_takes_more_turns_and_a_larger_weight_makes_it_cheaper(place: Place) -> None:
    store = place.store()
    for _ in range(2):
        add(store, "long", cost=400)
    for _ in range(5):
        add(store, "short", cost=100)
    assert taken(store, 7) == ["long", "short", "short", "short", "short", "long", "short"]


def test_a_position_counts_the_turns_before(place: Place) -> None:
    store = place.store()
    many = [add(store, "many") for _ in range(3)]
    few = add(store, "few")
    assert [now(store.position(found(store, job.id))) for job in (*many, few)] == [1, 3, 4, 2]


@pytest.mark.parametrize("others", [1, 3])
def test_however_many_others_come_a_job_comes_to_be_the_first(place: Place, others: int) -> None:
    store = place.store()
    low = add(store, "low", cost=1600)
    waiting = add(store, "low", cost=1600)
    assert claimed(store).id == low.id
    assert now(store.finish(low.id, OWNER, SHAPE))
    turns = 0
    while True:
        turns += 1
        for other in range(others):
            add(store, f"high {other}", cost=100)
        job = claimed(store)
        assert now(store.finish(job.id, OWNER, SHAPE))
        if job.id == waiting.id:
            break
        assert turns < 60


def test_a_client_has_so_many_jobs_waiting_as_it_may(place: Place) -> None:
    store = place.store()
    for _ in range(2):
        add(store, "web", most_own=2)
    add(store, "other", most_own=2)
    with pytest.raises(QuotaExceeded, match="2 jobs waiting") as caught:
        add(store, "web", most_own=2)
    assert caught.value.retry_after
    claimed(store)
    add(store, "web", most_own=2)
