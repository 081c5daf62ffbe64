"""The folder of jobs stays within its limit: the oldest results go first, and what cannot be kept is not accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.errors import ResultGone, StorageFull, TooManyVoxels
from api.generation.generator import Saved
from api.jobs import limits
from api.jobs.embedded.files import Files
from api.jobs.store import Store
from api.messages import Progress
from models.shape import Shape
from tests.support.job_store import OWNER, Place, added, claimed, completed, found, now, same, store_in, voxels
from tests.support.small_disk import mounted

MIB = 2**20
BIG = Shape(voxels(40_000), None, 1)
"""0.7 MB."""


def small(place: Place) -> Store:
    return place.store(max_bytes=4 * MIB, max_voxels=40_000)


def large(size: int) -> Saved:
    """A state of so many bytes."""
    return Saved(Progress(state=bytes(size)), None, ())


def test_the_oldest_results_make_room_for_new_ones(place: Place) -> None:
    store = small(place)
    done = [completed(store, BIG) for _ in range(12)]
    assert place.used() <= 4 * MIB
    kept = []
    for record in done:
        try:
            kept.append(same(now(store.result(record)), BIG))
        except ResultGone:
            kept.append(False)
        assert found(store, record.id).state == "completed", "its record tells what became of it"
    assert kept == sorted(kept)
    assert 3 <= sum(kept) <= 5


def test_a_limit_that_was_lowered_counts_soon(place: Place) -> None:
    for _ in range(5):
        completed(place.store(max_voxels=40_000), BIG)
    now(place.store(max_bytes=2 * MIB, max_voxels=40_000).tend(1e6))
    assert place.used() <= 2 * MIB


def test_a_job_is_refused_when_those_that_run_take_all_the_room(place: Place) -> None:
    store = small(place)
    completed(store, BIG)
    running = [added(store), added(store)]
    for record in running:
        claimed(store)
        now(store.save(record.id, OWNER, large(MIB + MIB // 2), None))
    with pytest.raises(StorageFull) as caught:
        added(store)
    assert caught.value.retry_after is not None
    with pytest.raises(StorageFull):
        now(store.save(running[0].id, OWNER, large(2 * MIB), None))
    now(store.cancel(running[0].id))
    now(store.remove(running[0].id))
    assert added(store)


def test_a_job_with_a_known_key_is_not_refused_for_want_of_room(place: Place) -> None:
    store = small(place)
    first = added(store, key="order 7")
    claimed(store)
    now(store.save(first.id, OWNER, large(3 * MIB + MIB // 2), None))
    with pytest.raises(StorageFull):
        added(store)
    assert added(store, key="order 7").id == first.id


def test_a_shape_that_will_never_fit_is_told_so(place: Place) -> None:
    store = small(place)
    record = added(store)
    claimed(store)
    with pytest.raises(TooManyVoxels, match="XCUBE_JOBS_MAX_BYTES"):
        now(store.finish(record.id, OWNER, Shape(voxels(400_000), None, 1)))


def test_a_disk_smaller_than_the_limit_is_not_filled(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 8) as disk:
        store = store_in(disk / "jobs", max_voxels=40_000)
        for _ in range(15):
            completed(store, BIG)
        usage = Files(disk / "jobs").usage()
        assert 4 * MIB < usage.total <= 8 * MIB // 10 * 9


def test_ended_jobs_are_bounded_in_number_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_ENDED", 3)
    store = place.store()
    ids = [added(store).id for _ in range(6)]
    for id_ in ids[:5]:
        now(store.cancel(id_))
    now(store.tend(1e6))
    assert [now(store.get(id_)) is not None for id_ in ids] == [False, False, True, True, True, True]


def test_jobs_are_forgotten_after_their_time_with_all_they_left(place: Place) -> None:
    store = place.store()
    done, waiting = completed(store), added(store)
    now(store.tend(1e6))
    assert found(store, done.id)
    now(store.tend(0.0))
    assert now(store.get(done.id)) is None
    assert found(store, waiting.id).state == "pending"
    assert not place.files(done.id)
