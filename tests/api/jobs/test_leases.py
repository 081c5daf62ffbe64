"""Whose a job is: whoever beats keeps it, whoever is dead loses it, and none of this by a wall clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.generation.generator import Saved
from api.jobs import watch
from api.jobs.record import ENDED, Record
from api.jobs.runner import MOST_DEATHS, Runner
from api.jobs.watch import Watch
from tests.support.job_runner import Generator, run_all
from tests.support.job_store import (
    HALF,
    MODELS,
    OTHER,
    OWNER,
    Place,
    added,
    claimed,
    now,
    saved,
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.jobs.runner.PERIOD", 0.01)


def test_the_third_process_that_dies_with_a_job_was_the_last_to_take_it_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 0.05)
    store = place.store()
    job = added(store)

    async def take(owner: str) -> Record:
        while (record := await store.claim(owner, MODELS)) is None:
            await store.survey(owner)
            await asyncio.sleep(0.01)
        return record

    for deaths in range(MOST_DEATHS):
        record = now(take(f"owner {deaths}"))
        assert (record.deaths, record.attempts) == (deaths, deaths + 1)
    generator = Generator()
    ended = run_all(store, generator, job.id)
    assert (ended.state, ended.code, ended.deaths) == ("failed", "job_crashed", MOST_DEATHS)
    assert ended.error is not None
    assert ended.error.startswith("3 processes of the service ended")
    assert generator.began == []


def test_a_job_that_is_handed_back_has_not_killed_anybody(place: Place) -> None:
    store = place.store()
    added(store)
    for turn in range(MOST_DEATHS + 1):
        record = claimed(store, f"owner {turn}")
        assert record.deaths == 0
        assert now(store.hand_back(record.id, f"owner {turn}"))


def test_an_owner_that_beats_keeps_its_job_whatever_the_wall_clock_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 0.2)
    store, other = place.store(), place.store()
    job = added(store)
    assert claimed(store).id == job.id

    async def main() -> None:
        for turn in range(20):
            monkeypatch.setattr("time.time", lambda turn=turn: 1e9 * (1 + turn % 2))  # somebody sets the clock
            assert await store.beat(job.id, OWNER, None)
            await other.survey("other")
            assert await other.claim("other", MODELS) is None
            await asyncio.sleep(0.02)
        for _ in range(20):
            await other.survey("other")
            await asyncio.sleep(0.02)
        taken = await other.claim("other", MODELS)
        assert taken is not None
        assert (taken.id, taken.owner, taken.deaths) == (job.id, "other", 1)
        assert not await store.beat(job.id, OWNER, None)

    now(main())


def test_who_beats_between_the_look_and_the_claim_is_not_robbed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 0.0)
    store, other = place.store(), place.store()
    job = added(store)
    claimed(store)
    now(other.survey("other"))
    assert now(store.beat(job.id, OWNER, None))
    assert now(other.claim("other", MODELS)) is None


def test_a_watch_counts_only_the_time_in_which_it_could_look() -> None:
    beats = {"job": ("owner", 7)}
    steady = Watch()
    assert [bool(steady.look(beats, float(second))) for second in range(12)] == [False] * 10 + [True] * 2
    assert steady.look({"job": ("owner", 8)}, 12.0) == {}
    assert steady.look({"job": ("another", 8)}, 13.0) == {}
    interrupted = Watch()
    assert interrupted.look(beats, 0.0) == {}
    assert interrupted.look(beats, 100.0) == {}, "the store was away, and nobody could beat"
    assert interrupted.look(beats, 105.0) == {}
    assert interrupted.look(beats, 110.0) == beats


def test_a_job_stays_its_owner_s_however_long_a_call_of_the_store_takes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 0.3)
    store, other = place.store(), place.store()
    slow = {"load", "save", "finish"}

    class Slow:
        def __getattr__(self, name: str) -> Any:
            method = getattr(store, name)
            if name not in slow:
                return method

            async def call(*values: Any) -> Any:
                await asyncio.sleep(0.6)
                return await method(*values)

            return call

    job = saved(store)
    robbed = []

    async def main() -> None:
        runner = Runner(Generator(seconds=0.1), Slow(), 1, 1e6)  # type: ignore[arg-type]
        running = asyncio.create_task(runner.run())
        while (record := await other.get(job.id)) is not None and record.state not in ENDED:
            if record.state == "in_progress":
                await other.survey("other")
                robbed.append(await other.claim("other", MODELS))
            await asyncio.sleep(0.01)
        assert record is not None
        assert (record.state, record.deaths) == ("completed", 0)
        running.cancel()

    now(main())
    assert set(robbed) == {None}


def test_who_has_lost_a_job_overwrites_nothing_of_the_one_who_has_it(place: Place) -> None:
    store = place.store()
    job = saved(store)
    claimed(store, "another")
    now(store.save(job.id, OWNER, Saved(HALF.progress, OTHER, ()), None))
    assert now(store.load(job.id)) == HALF
