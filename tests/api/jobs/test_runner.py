"""When a job goes on from what was saved, begins anew, waits for its store, or fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from api.errors import JobsUnavailable, ModelsChanged, StorageFull
from api.generation.generator import Saved
from api.jobs.record import Record
from api.jobs.runner import Runner
from api.jobs.store import NewJob, Store
from models.errors import StateError
from tests.support.job_runner import OTHER_MODELS, Generator, run_all, status
from tests.support.job_store import (
    COARSE,
    HALF,
    MODELS,
    OTHER,
    OWNER,
    REQUEST,
    Place,
    added,
    claimed,
    found,
    now,
    saved,
)


class Sick:
    """Refuses a number of calls of each of some methods."""

    def __init__(self, store: Store, error: type[JobsUnavailable], **refused: int) -> None:
        self.store = store
        self.error = error
        self.left = Counter(refused)

    def __getattr__(self, name: str) -> Any:
        if self.left[name] <= 0:
            return getattr(self.store, name)
        self.left[name] -= 1

        async def refuse(*_: object) -> None:
            raise self.error("It is sick.")

        return refuse


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.jobs.runner.PERIOD", 0.01)


def run(place: Place, generator: Generator, state: Saved | None = None, store: Store | None = None) -> Record:
    """Runs one job to its end."""
    before = place.store()
    job = added(before) if state is None else saved(before, state)
    return run_all(before if store is None else store, generator, job.id)


def test_a_job_goes_on_where_it_was_saved(place: Place) -> None:
    generator = Generator()
    assert run(place, generator, HALF).state == "completed"
    assert generator.began == [HALF]


def test_a_job_whose_half_made_state_means_nothing_any_more_begins_anew(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    fault = StateError("another version")
    generator = Generator(fault)
    done = run(place, generator, HALF)
    assert done.state == "completed"
    assert generator.began == [HALF, None]
    assert f"job {done.id} starts anew: {fault}" in caplog.text


def test_the_coarse_shape_of_the_start_before_is_not_mixed_in(place: Place) -> None:
    generator = Generator(StateError("another version"), seconds=0.3)
    generator.coarse = OTHER
    store, other = place.store(), place.store()
    kept = []

    async def look(id_: str) -> None:
        """Notes what a process that takes the job up at this moment would go on with."""
        state = await other.load(id_)
        if len(generator.began) == 2 and state is not None:
            kept.append((state.progress.state, state.coarse))

    assert run_all(store, generator, saved(store).id, look).state == "completed"
    assert set(kept) <= {(b"half", COARSE), (b"later", OTHER)}
    assert (b"later", OTHER) in kept


def test_a_job_whose_state_cannot_be_read_again_and_again_fails_with_a_sentence(place: Place) -> None:
    generator = Generator(*(StateError("The state is of another version.") for _ in range(9)))
    failed = run(place, generator, HALF)
    assert (failed.state, failed.code) == ("failed", "unreadable_state")
    assert failed.error == "The state is of another version."
    assert len(generator.began) == 4
    assert not place.files(failed.id)


def test_a_job_whose_models_are_replaced_in_its_midst_waits_for_them_and_keeps_its_state(place: Place) -> None:
    generator = Generator(ModelsChanged("The models were replaced during the request."), seconds=0.3)
    generator.monitor.later = status(OTHER_MODELS)
    store = place.store()
    job = saved(store)

    async def main() -> Record:
        runner = asyncio.create_task(Runner(generator, store, 1, 1e6).run())  # type: ignore[arg-type]
        while not generator.began:
            await asyncio.sleep(0.01)
        while (record := await store.get(job.id)) is None or record.state != "pending":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        runner.cancel()
        return record

    waiting = now(main())
    assert (waiting.deaths, waiting.attempts, waiting.models) == (0, 2, MODELS)
    assert len(generator.began) == 1
    other = Generator()
    assert run_all(store, other, job.id).state == "completed"
    assert other.began[0] is not None, "it goes on where it was"


def test_an_order_names_the_weights_that_its_job_was_accepted_for(place: Place) -> None:
    generator = Generator()
    run(place, generator)
    assert [order.weights for order in generator.orders] == ["a text:1 a coarse:1"]


@pytest.mark.parametrize("error", [JobsUnavailable, StorageFull])
@pytest.mark.parametrize("method", ["survey", "claim", "tend", "load", "save", "beat", "finish"])
def test_a_sick_store_ends_no_job(place: Place, method: str, error: type[JobsUnavailable]) -> None:
    store: Any = Sick(place.store(), error, **{method: 3})
    generator = Generator(seconds=0.2)
    assert run(place, generator, store=store).state == "completed"
    assert store.left[method] < 3
    assert len(generator.began) == 1, "what was computed is not lost"


@pytest.mark.parametrize("method", ["fail", "clear"])
def test_a_job_that_fails_while_its_store_is_sick_still_ends(place: Place, method: str) -> None:
    store: Any = Sick(place.store(), JobsUnavailable, **{method: 1})
    failed = run(place, Generator(*(StateError("again") for _ in range(9))), store=store)
    assert (failed.state, failed.code) == ("failed", "unreadable_state")


@pytest.mark.parametrize(
    ("column", "value"), [("request", "{"), ("request", '{"prompt": ""}'), ("seed", "many"), ("warnings", "no list")]
)
def test_a_job_whose_row_makes_no_sense_fails_for_good_and_holds_up_no_other(
    place: Place, column: str, value: str
) -> None:
    store = place.store()
    job = added(store)
    place.execute(f"UPDATE jobs SET {column} = ?", value)
    generator = Generator()
    assert run(place, generator, store=store).state == "completed"
    assert len(generator.began) == 1
    failed = found(store, job.id)
    assert (failed.state, failed.code) == ("failed", "unreadable_job")
    assert failed.error is not None
    assert column in failed.error
    assert now(store.claim(OWNER, MODELS)) is None


def test_a_store_that_hangs_does_not_keep_the_service_from_ending(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.jobs.runner._LEAVING", 0.2)
    store = place.store()
    added(store)

    async def hang(*_: object) -> None:
        await asyncio.sleep(60)

    async def main() -> float:
        runner = Runner(Generator(seconds=60), store, 1, 1e6)  # type: ignore[arg-type]
        running = asyncio.create_task(runner.run())
        while not runner._tasks:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(store, "save", hang)
        began = asyncio.get_running_loop().time()
        running.cancel()
        await runner.stop()
        return asyncio.get_running_loop().time() - began

    assert now(main()) < 5


def test_jobs_run_in_the_order_in_which_they_came_and_a_known_key_gives_the_same_one(place: Place) -> None:
    store = place.store()
    ids = [added(store, key=f"key {number}").id for number in range(3)]
    assert added(store, key="key 1").id == ids[1]
    assert [now(store.position(found(store, id_))) for id_ in ids] == [1, 2, 3]
    assert [claimed(store).id for _ in ids] == ids
    assert now(store.add(NewJob(REQUEST, 1, None, None), 0)) is None
