"""A job runs with the models that it was accepted for, waits for them, and ends when nobody has them for long."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from api.jobs import store as module
from api.jobs import watch
from api.jobs.embedded.database import _CHANGES, _TABLE
from api.jobs.models import models_of, named, weights_for
from api.jobs.record import Record
from api.messages import ModelStatus, Status
from api.schemas import LOADING
from tests.support.job_store import MODELS, OWNER, REQUEST, EmbeddedPlace, Place, added, claimed, found, now

OTHERS = '{"text": "a text:2", "coarse": "a coarse:1"}'


def test_models_are_named_by_all_their_weights_once_they_are_known() -> None:
    assert models_of(Status(health=LOADING)) is None
    known = {"text": ModelStatus(version="t:1"), "coarse": ModelStatus(version="c:1"), "fine": ModelStatus(fault="no")}
    text = models_of(Status(health=LOADING, models=known))
    assert named(text) == {"text": "t:1", "coarse": "c:1"}
    assert weights_for(text) == Status(health=LOADING, models=known).weights == "t:1 c:1"
    assert weights_for(None) == ""
    assert [named(each) for each in (None, "", "{", "[]")] == [None] * 4


def test_a_job_is_taken_up_by_a_service_with_its_models_alone(place: Place) -> None:
    store = place.store()
    first, second = added(store), added(store, models=OTHERS)
    assert now(store.claim(OWNER, '{"text": "a third"}')) is None
    assert claimed(store, models=OTHERS).id == second.id
    assert claimed(store, models=MODELS).id == first.id


def test_a_job_that_was_accepted_before_the_models_were_known_keeps_to_those_that_begin_it(place: Place) -> None:
    store = place.store()
    job = added(store, models=None)
    assert claimed(store, models=OTHERS).models == OTHERS
    assert now(store.hand_back(job.id, OWNER))
    assert now(store.claim(OWNER, MODELS)) is None
    assert claimed(store, models=OTHERS).id == job.id


def test_a_place_in_the_queue_counts_those_that_want_the_same_models(place: Place) -> None:
    store = place.store()
    jobs = [added(store, models=models) for models in (MODELS, OTHERS, None, MODELS)]
    assert [now(store.position(job)) for job in jobs] == [1, 1, 3, 3]


def test_a_job_whose_models_no_service_has_is_told_apart_from_one_that_waits_for_its_turn(
    place: Place,
) -> None:
    store = place.store()
    gone = added(store, models=OTHERS)
    forget(place)
    here = added(store)
    assert now(store.survey(OWNER)).waiting == 1, "whoever has accepted a job has its models"
    forget(place)
    assert [now(store.position(found(store, job.id))) for job in (gone, here)] == [None, None]
    now(store.offer(MODELS, 1e6))
    assert [now(store.position(found(store, job.id))) for job in (gone, here)] == [None, 1]
    survey = now(store.survey(OWNER))
    assert (survey.waiting, survey.counts["pending"]) == (1, 2)
    assert 1000 <= survey.oldest < 2000, "that of the one that waits for its turn"
    now(store.offer(OTHERS, 1e6))
    assert now(store.position(found(store, gone.id))) == 1


def forget(place: Place, seconds: float = 1000) -> None:
    """As if so much time had gone by in which no service ran."""
    place.execute("UPDATE offers SET seen = seen - ?", seconds)
    place.execute("UPDATE jobs SET created = created - ?", seconds)


def test_a_job_ends_whose_models_nobody_has_had_for_as_long_as_jobs_are_kept(place: Place) -> None:
    store = place.store()
    gone, here, any_ = added(store, models=OTHERS), added(store), added(store, models=None)
    forget(place)
    now(store.offer(MODELS, 2000))
    assert found(store, gone.id).state == "pending", "somebody may start a service with them"
    now(store.offer(MODELS, 500))
    ended: Record = found(store, gone.id)
    assert (ended.state, ended.code) == ("failed", "models_gone")
    assert ended.error is not None
    assert ended.error.endswith("which the models of today run.")
    assert [found(store, job.id).state for job in (here, any_)] == ["pending"] * 2


def test_a_short_retention_ends_no_job_whose_service_only_restarts(place: Place) -> None:
    store = place.store()
    job = added(store, models=OTHERS)
    forget(place, module.OFFERED_SECONDS - 5)
    now(store.offer(MODELS, 0.1))
    assert found(store, job.id).state == "pending"


def test_a_job_of_a_dead_process_waits_for_its_models_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LEASE_SECONDS", 0.0)
    store = place.store()
    job = added(store, models=OTHERS)
    claimed(store, "who dies", OTHERS)
    now(store.survey(OWNER))
    assert now(store.claim(OWNER, MODELS)) is None
    waiting = found(store, job.id)
    assert (waiting.state, waiting.owner, waiting.deaths) == ("pending", None, 1)
    assert claimed(store, models=OTHERS).id == job.id


def test_a_job_of_the_table_before_goes_to_whoever_takes_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as database, database:
        for statement in (_TABLE, *_CHANGES[0], "PRAGMA user_version = 1"):
            database.execute(statement)
        row = ("1" * 32, REQUEST, "1", 1.0)
        database.execute("INSERT INTO jobs (id, request, seed, created) VALUES (?, ?, ?, ?)", row)
    after = EmbeddedPlace(tmp_path).store()
    assert found(after, "1" * 32).models is None
    assert claimed(after, models=OTHERS).models == OTHERS
