"""Jobs of a client as every store lists them, and keys that make one job of many requests."""

from __future__ import annotations

import asyncio

import pytest

from api.jobs.record import Record
from api.jobs.store import NewJob
from tests.support.job_store import MODELS, REQUEST, Place, added, claimed, now


def test_a_list_has_a_client_s_jobs_the_latest_first_and_nobody_else_s(place: Place) -> None:
    store = place.store()
    mine = [added(store, client="me").id for _ in range(4)][::-1]
    others = [added(store, client="you").id, added(store, client=None).id]
    found = now(store.find("me", None, None, 9))
    assert [record.id for record in found] == mine
    assert [record.id for record in now(store.find("me", None, found[1].number, 1))] == mine[2:3]
    assert [[record.id for record in now(store.find(client, None, None, 9))] for client in ("you", None)] == [
        [id_] for id_ in others
    ]


@pytest.mark.parametrize("state", ["pending", "in_progress", "canceled"])
def test_a_list_has_the_jobs_in_one_state(place: Place, state: str) -> None:
    store = place.store()
    ids = {name: added(store, client="me").id for name in ("in_progress", "canceled", "pending")}
    assert claimed(store).id == ids["in_progress"]
    assert now(store.cancel(ids["canceled"]))
    assert [record.id for record in now(store.find("me", state, None, 9))] == [ids[state]]  # type: ignore[arg-type]


def test_a_key_that_comes_to_several_processes_at_once_makes_one_job(place: Place) -> None:
    stores = [place.store() for _ in range(4)]

    async def main() -> list[Record | None]:
        job = (REQUEST, 1, "order 7", "me", MODELS)
        return list(await asyncio.gather(*(store.add(NewJob(*job), 100) for store in stores for _ in range(4))))

    made = now(main())
    assert len({record.id for record in made if record is not None}) == 1
    assert None not in made
    assert now(stores[0].survey("x")).counts == {"pending": 1}
