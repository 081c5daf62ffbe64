"""What the service has to ask of BentoML, so that its habits do no harm; and how many calls it survives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.settings import load_settings
from service import Sampler, XCube
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")

sampler: Any = Sampler
xcube: Any = XCube


def test_internal_connections_are_never_rotated_with_calls_in_flight() -> None:
    assert sampler.config["runner_connection"]["max_requests"] >= 10**9
    assert sampler.config["runner_connection"]["max_age"] >= 10**9


@pytest.mark.parametrize("service", [sampler, xcube], ids=["sampler", "xcube"])
def test_bentoml_gives_no_call_up_before_our_own_deadline(service: Any) -> None:
    assert service.config["traffic"]["timeout"] > load_settings().deadline_seconds
    assert "max_concurrency" not in service.config["traffic"]
    for method in service.apis.values():
        if method.batchable:
            assert method.max_latency_ms > 1000 * load_settings().deadline_seconds


def test_no_answer_of_a_sampler_costs_a_json_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a JSON schema was made")

    monkeypatch.setattr(TypeAdapter, "json_schema", refuse)
    assert {method.output_spec.mime_type() for method in sampler.apis.values()} == {"application/json"}


def test_only_one_service_asks_for_a_gpu() -> None:
    assert "gpu" not in xcube.config.get("resources", {})


def test_no_model_is_bound_to_a_class_where_its_absence_would_end_the_process() -> None:
    assert sampler.models == []
    assert xcube.models == []


def test_hundreds_of_internal_calls_in_flight_lose_none(server: Server) -> None:
    def generate(seed: int) -> int:
        return server.generate(seed=seed, ddim_steps=2, use_fine=False).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(generate, range(48))) == {200}
