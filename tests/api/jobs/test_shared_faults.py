"""The database and the results of several services may be away, cut off or exchanged: nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.addresses import results_at
from api.errors import JobsUnavailable, ResultGone
from api.jobs import watch
from api.jobs.record import Record
from api.jobs.shared import database as module
from api.jobs.shared.objects import objects_at
from models.shape import Shape
from tests.support.cut_network import Relay, relay
from tests.support.job_store import (
    HALF,
    MODELS,
    OWNER,
    SHAPE,
    added,
    claimed,
    close_stores,
    completed,
    found,
    now,
    same,
    saved,
    voxels,
)
from tests.support.postgres import PASSWORD, QUOTED, Postgres, postgres
from tests.support.s3 import CREDENTIALS, make_bucket, s3
from tests.support.shared_jobs import SharedPlace


@pytest.fixture
def shared(database: Postgres, tmp_path: Path) -> SharedPlace:
    return SharedPlace(database, tmp_path)


@pytest.fixture
def cut(shared: SharedPlace) -> Iterator[Relay]:
    """The network between the stores of a place and the database."""
    with relay(shared.server.port) as network:
        shared.port = network.port
        yield network


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)


def test_many_processes_that_take_jobs_at_once_take_each_of_them_once(shared: SharedPlace) -> None:
    stores = [shared.store() for _ in range(4)]
    ids = [added(stores[0]).id for _ in range(30)]
    for store in stores:
        now(store.get("x"))  # all are connected, so that they meet

    async def take(number: int) -> list[str]:
        taken = []
        while (record := await stores[number].claim(f"owner {number}", MODELS)) is not None:
            taken.append(record.id)
        return taken

    async def main() -> list[list[str]]:
        return list(await asyncio.gather(*map(take, range(4))))

    taken = now(main())
    assert sorted(id_ for each in taken for id_ in each) == sorted(ids)


def test_of_two_results_one_counts_and_stays_as_it_is(shared: SharedPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 0.0)
    slow, quick = shared.store(), shared.store()
    job = added(slow)
    claimed(slow, "slow")
    now(quick.survey("quick"))
    assert claimed(quick, "quick").id == job.id
    other = SHAPE.__class__(SHAPE.coarse, None, SHAPE.seed, ())
    assert now(quick.finish(job.id, "quick", SHAPE))
    assert not now(slow.finish(job.id, "slow", other))
    assert not now(slow.fail(job.id, "slow", "internal", "too late"))
    assert same(now(slow.result(found(slow, job.id))), SHAPE)


def test_a_result_whose_answer_was_lost_counts_once_and_is_known_to_do_so(shared: SharedPlace) -> None:
    store = shared.store()
    job = added(store)
    claimed(store)
    assert now(store.finish(job.id, OWNER, SHAPE))
    assert now(store.finish(job.id, OWNER, SHAPE)), "as who has heard nothing tries it again"
    assert found(store, job.id).changes == 2


def test_a_claim_whose_answer_was_lost_is_taken_up_again_by_the_same_process(
    shared: SharedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 0.0)
    store = shared.store()
    job = added(store)
    claimed(store)
    now(store.survey(OWNER))
    assert claimed(store).id == job.id


def test_who_was_only_cut_off_is_not_counted_among_the_dead(
    shared: SharedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 0.0)
    alone, other = shared.store(), shared.store()
    job = added(alone)
    claimed(alone)
    now(other.survey("other"))
    assert claimed(other, "other").deaths == 1
    assert not now(alone.beat(job.id, OWNER, None))
    assert found(other, job.id).deaths == 0


@pytest.mark.usefixtures("_impatient")
def test_a_network_that_is_cut_ends_every_call_and_costs_nothing(
    shared: SharedPlace, cut: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    store = shared.store()
    job = added(store)
    claimed(store)
    cut.cut()
    began = time.monotonic()
    for call in (
        lambda: store.get(job.id), lambda: store.survey(OWNER), lambda: store.beat(job.id, OWNER, None),
        lambda: store.finish(job.id, OWNER, SHAPE), lambda: store.cancel(job.id), lambda: store.tend(1e6),
    ):  # fmt: skip
        with pytest.raises(JobsUnavailable) as caught:
            now(call())
        assert caught.value.retry_after is not None
    assert time.monotonic() - began < 30
    assert caplog.text.count("jobs cannot be read or stored") <= 3
    cut.mend()
    shared.port = shared.server.port
    assert found(shared.store(), job.id).state in ("in_progress", "canceled"), "what was under way may arrive late"
    assert same(now(store.result(completed(store))), SHAPE)


@pytest.mark.usefixtures("_impatient")
def test_who_was_cut_off_from_the_database_takes_nobody_s_job_away(
    shared: SharedPlace, cut: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(watch, "LONGEST_GAP", 0.4)
    store, other = shared.store(), shared.store()
    job = added(store)
    claimed(store)
    now(other.survey("other"))
    cut.cut()
    for _ in range(3):
        with pytest.raises(JobsUnavailable):
            now(other.survey("other"))
    cut.mend()
    now(other.survey("other"))
    assert now(other.claim("other", MODELS)) is None, "in the time of the fault the owner could not beat either"
    assert now(store.beat(job.id, OWNER, None))


def test_calls_beyond_the_bound_are_refused_at_once(shared: SharedPlace, cut: Relay) -> None:
    store = shared.store()
    cut.cut()

    async def main() -> None:
        calls = [asyncio.create_task(store.get("x")) for _ in range(module._MOST_CALLS)]
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(JobsUnavailable):
            await store.get("y")
        assert asyncio.get_running_loop().time() - began < module.PATIENCE / 2
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    now(main())


def test_a_database_that_restarts_loses_nothing_and_is_met_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres() as server:
        place = SharedPlace(server, tmp_path)
        store = place.store()
        done, half = completed(store), saved(store)
        server.stop()
        for _ in range(3):
            with pytest.raises(JobsUnavailable, match="XCUBE_JOBS_URL"):
                now(store.get(done.id))
        server.start()
        assert same(now(store.result(found(store, done.id))), SHAPE)
        assert claimed(store).id == half.id
        assert now(store.load(half.id)) == HALF
        close_stores()
    assert caplog.text.count("jobs cannot be read or stored") <= 2, (
        "the end of a connection, and then that there is none"
    )
    assert PASSWORD not in caplog.text
    assert QUOTED not in caplog.text


def test_a_wrong_password_is_told_without_the_password(shared: SharedPlace, caplog: pytest.LogCaptureFixture) -> None:
    shared.password = "not-the-pass-word"
    with pytest.raises(JobsUnavailable):
        now(shared.store().get("x"))
    assert "password authentication failed" in caplog.text
    assert "not-the-pass-word" not in caplog.text


@pytest.mark.parametrize("lost", ["jobs", "offers", "store"])
def test_tables_that_somebody_removed_are_made_again(shared: SharedPlace, lost: str) -> None:
    store = shared.store()
    completed(store)
    shared.execute(f"DROP TABLE {'xcube_store' if lost == 'store' else lost}")
    if lost == "store":
        shutil.rmtree(shared.folder / "xcube")
        shutil.rmtree(next(shared.folder.iterdir()))
        shared.execute("UPDATE jobs SET keeper = NULL")
    after = shared.store()
    now(after.offer(MODELS, 1e6))
    assert same(now(after.result(completed(after))), SHAPE)
    assert now(store.survey(OWNER)).counts["completed"] == (1 if lost == "jobs" else 2)


def test_tables_of_a_newer_version_are_left_alone(shared: SharedPlace, caplog: pytest.LogCaptureFixture) -> None:
    added(shared.store())
    shared.execute("UPDATE xcube_store SET version = ?", module.VERSION + 1)
    with pytest.raises(JobsUnavailable):
        now(shared.store().get("x"))
    assert "newer version" in caplog.text


def test_a_disk_that_is_not_mounted_loses_no_result(shared: SharedPlace, caplog: pytest.LogCaptureFixture) -> None:
    store = shared.store()
    done, half = completed(store), saved(store)
    elsewhere = shared.folder.rename(shared.folder.with_name("elsewhere"))
    for empty in (False, True):
        if empty:
            shared.folder.mkdir()
        with pytest.raises(JobsUnavailable):
            now(store.result(done))
        with pytest.raises(JobsUnavailable):
            now(store.load(half.id))
        with pytest.raises(JobsUnavailable):
            now(store.tend(0))
    assert "its disk is mounted" in caplog.text
    shared.folder.rmdir()
    elsewhere.rename(shared.folder)
    assert same(now(store.result(done)), SHAPE)
    assert now(store.load(half.id)) == HALF


def test_results_of_two_databases_do_not_share_a_place(
    database: Postgres, shared: SharedPlace, caplog: pytest.LogCaptureFixture
) -> None:
    completed(shared.store())
    other = SharedPlace(database, shared.folder)
    with pytest.raises(JobsUnavailable):
        now(other.store().tend(1e6))
    assert "belongs to jobs of another database" in caplog.text


def test_what_died_processes_left_is_swept_but_nobody_else_s_files(
    shared: SharedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.jobs.shared.kept._LEFT_SECONDS", -1.0)
    store = shared.store()
    done: Record = completed(store)
    left, foreign = shared.folder / ("a" * 32), shared.folder / "somebody"
    for folder in (left, foreign):
        folder.mkdir()
        (folder / "x.state").touch()
    now(store.tend(1e6))
    assert (left.exists(), foreign.exists()) == (False, True)
    assert same(now(store.result(done)), SHAPE)
    shutil.rmtree(shared.folder / done.id)
    with pytest.raises(ResultGone):
        now(store.result(done))


def test_a_bucket_keeps_what_jobs_have_and_one_that_is_away_loses_nothing(
    shared: SharedPlace, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    big = Shape(voxels(40_000), None, 1)
    with s3(tmp_path_factory.mktemp("s3") / "log") as url:
        make_bucket(url, "results")
        shared.objects = objects_at(results_at(f"s3://results/{shared.schema}?endpoint={url}"))
        store, small = shared.store(), shared.store(max_bytes=4 * 2**20, max_voxels=40_000)
        half = saved(store)
        assert now(store.load(half.id)) == HALF
        claimed(store)
        assert now(store.finish(half.id, OWNER, SHAPE))
        assert same(now(store.result(found(store, half.id))), SHAPE)
        kept = [completed(small, big) for _ in range(8)]
        assert same(now(small.result(found(small, kept[-1].id))), big)
        with pytest.raises(ResultGone):
            now(small.result(found(small, kept[0].id)))
        now(store.remove(half.id))
        left = {folder for folder, _ in shared.objects.folders()} - {"xcube"}
        assert left < {record.id for record in kept}
        last = added(store)
        claimed(store)
        now(store.save(last.id, OWNER, HALF, None))
    for call in (lambda: store.load(last.id), lambda: store.finish(last.id, OWNER, SHAPE), lambda: store.tend(0.0)):
        with pytest.raises(JobsUnavailable):
            now(call())
    assert found(store, last.id).state == "in_progress"
    assert added(store).state == "pending", "what needs no bucket goes on"
    assert "the bucket of XCUBE_RESULTS_URL cannot be used, see to its address and its credentials" in caplog.text
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in caplog.text
