"""What a load balancer reads at /readyz: BentoML asks the service, which says why it is not ready."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from api.errors import ModelsUnavailable, StillLoading
from api.http import gate
from api.http.auth import Keys
from models.errors import XCubeError

FAULTS = [
    (ModelsUnavailable("The fine model cannot be used."), "models_unavailable", None),
    (StillLoading("The models are still loading.", retry_after=5), "loading", "5"),
]


def asked(check: Any) -> httpx.Response:
    """The answer of a service behind the gate that is asked as BentoML asks it."""

    async def bentoml(scope: Any, receive: Any, send: Any) -> None:
        ready = gate.passes(check)
        await send({"type": "http.response.start", "status": 200 if ready else 503, "headers": []})
        await send({"type": "http.response.body", "body": b"\n" if ready else b"__is_ready__() returns False"})

    async def ask() -> httpx.Response:
        app = gate.Gate(bentoml, max_body_bytes=1024, keys=Keys(None))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.get("/readyz")

    return asyncio.run(ask())


@pytest.mark.parametrize(("fault", "code", "retry"), FAULTS)
def test_a_service_that_is_not_ready_says_why(fault: XCubeError, code: str, retry: str | None) -> None:
    def check() -> None:
        raise fault

    answer = asked(check)
    assert answer.status_code == 503
    assert answer.json() == {"error": str(fault), "code": code, "retryable": code == "loading"}
    assert answer.headers.get("retry-after") == retry


def test_a_service_that_is_ready_says_so() -> None:
    assert asked(lambda: None).status_code == 200
