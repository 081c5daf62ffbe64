"""A Sampler that loads turns work away, and its connection with it, so that another Sampler does it."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from api.sampler.order_gate import WORK
from api.sampler.ready_gate import Readiness, ReadyGate


async def _work(_: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def sampler(readiness: Readiness) -> TestClient:
    app = Starlette(routes=[Route(path, _work, methods=["POST"]) for path in (*WORK, "/status")])
    return TestClient(ReadyGate(app, readiness))


@pytest.mark.parametrize("path", sorted(WORK))
def test_work_is_turned_away_with_its_connection_until_the_models_are_loaded(
    sampler: TestClient, readiness: Readiness, path: str
) -> None:
    readiness.loading = lambda: True
    refused = sampler.post(path, content=b"x" * 1_000_000)
    assert (refused.status_code, refused.json()["code"]) == (503, "loading")
    assert refused.headers["connection"] == "close"
    readiness.loading = lambda: False
    assert sampler.post(path).text == "done"


def test_how_it_is_can_be_asked_while_the_models_load_and_the_next_time_of_another(
    sampler: TestClient, readiness: Readiness
) -> None:
    readiness.loading = lambda: True
    told = sampler.post("/status")
    assert (told.text, told.headers["connection"]) == ("done", "close")
    readiness.loading = lambda: False
    assert "connection" not in sampler.post("/status").headers
