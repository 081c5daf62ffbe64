"""What the store keeps of jobs: whole, or told to be gone; in this version's tables, and in those of earlier ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.errors import ResultGone
from api.generation.generator import Saved
from api.jobs import snapshots
from api.jobs.record import Record
from models.shape import Shape
from tests.support.job_store import (
    HALF,
    OTHER,
    SHAPE,
    EmbeddedPlace,
    Place,
    added,
    completed,
    found,
    now,
    same,
    saved,
    voxels,
)


def loaded(place: Place, id_: str, arithmetic: str = "cpu") -> Saved | None:
    return now(place.store(lambda: arithmetic).load(id_))


def test_a_state_that_was_saved_comes_back(place: Place) -> None:
    id_ = saved(place.store()).id
    assert loaded(place, id_) == HALF
    now(place.store().clear(id_))
    assert loaded(place, id_) is None
    assert not place.files(id_)


def test_a_state_of_another_version_or_arithmetic_is_not_taken_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = saved(place.store(lambda: "cpu, 1 threads")).id
    assert loaded(place, id_, "cpu, 1 threads") == HALF
    assert loaded(place, id_, "cpu, 2 threads") is None
    monkeypatch.setattr(snapshots, "VERSION", snapshots.VERSION + 1)
    assert loaded(place, id_, "cpu, 1 threads") is None


@pytest.mark.parametrize("kind", ["state", "half"])
def test_a_damaged_state_is_not_taken_up(place: Place, kind: str) -> None:
    record = saved(place.store())
    id_, file = record.id, place.file(record, kind)
    content = file.read_bytes()
    for damage in (b"", b"\n", content[:-1], content + b"x", content[:-1] + b"?", b"{" * 2000):
        file.write_bytes(damage)
        assert loaded(place, id_) is None
    file.unlink()
    assert loaded(place, id_) is None


def test_a_state_is_not_mixed_with_the_coarse_shape_of_another_start(place: Place) -> None:
    record = saved(place.store())
    id_, file = record.id, place.file(record, "state")
    later = Saved(HALF.progress, OTHER, ())
    kept = file.read_bytes()
    saved(place.store(), later, id_)
    assert loaded(place, id_) == later
    file.write_bytes(kept)  # as after a crash between the two files
    assert loaded(place, id_) in (None, HALF), "one or the other, but no mixture"


@pytest.mark.parametrize("shape", [SHAPE, Shape(voxels(3), None, 2**64 - 1)])
def test_a_result_comes_back_bit_by_bit(place: Place, shape: Shape) -> None:
    record = completed(place.store(), shape)
    assert (record.state, record.warnings) == ("completed", shape.warnings)
    assert same(now(place.store().result(record.model_copy(update={"seed": shape.seed}))), shape)


@pytest.mark.parametrize("fault", ["missing", "cut", "empty", "other bytes", "longer", "of another job", "a folder"])
@pytest.mark.parametrize("kind", ["coarse", "fine"])
def test_a_damaged_result_is_gone_and_never_half_of_one(place: Place, kind: str, fault: str) -> None:
    store = place.store()
    record, other = completed(store), completed(store)
    file = place.file(record, kind)
    content = file.read_bytes()
    file.unlink()
    match fault:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "empty":
            file.touch()
        case "other bytes":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "longer":
            file.write_bytes(content + b"\0")
        case "of another job":
            file.write_bytes(place.file(other, kind).read_bytes())
        case "a folder":
            file.mkdir()
            (file / "something").touch()
    with pytest.raises(ResultGone, match="send the request again"):
        now(store.result(record))
    now(store.remove(record.id))
    assert not place.files(record.id)
    assert now(store.get(record.id)) is None
    assert same(now(store.result(other)), SHAPE)


def assert_a_row_is_a_failed_job(place: Place, column: str, value: object) -> None:
    store = place.store()
    id_ = added(store).id
    place.execute(f"UPDATE jobs SET {column} = ?", value)
    record: Record = found(store, id_)
    assert (record.state, record.code) == ("failed", "unreadable_job")
    assert record.error is not None
    assert column in record.error
    if column == "state":
        now(store.tend(1e6))
        assert now(store.get(id_)) is None, "nothing else would ever end it"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("seed", "many"), ("seed", str(2**64)), ("state", "lost"), ("warnings", "{"), ("warnings", "[1]"),
        ("created", 1e300), ("step", -1), ("kinds", "0"),
    ],
)  # fmt: skip
def test_a_row_that_makes_no_sense_is_a_failed_job_that_says_so(place: Place, column: str, value: object) -> None:
    assert_a_row_is_a_failed_job(place, column, value)


@pytest.mark.parametrize(
    ("column", "value"), [("seed", b"\xff"), ("created", "today"), ("step", "a"), ("request", b"\0")]
)
def test_a_row_of_sqlite_with_a_value_of_another_type_is_a_failed_job(
    tmp_path: Path, column: str, value: object
) -> None:
    assert_a_row_is_a_failed_job(EmbeddedPlace(tmp_path), column, value)
