"""The health of the service and of each model, as tools for inference servers ask for it."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from api.generation.generator import Generator
from api.generation.monitor import Monitor
from api.generation.sampler_client import SamplerClient
from api.http.auth import Keys
from api.http.endpoints import Endpoints
from api.http.gate import Gate
from api.http.model_routes import _TENSORS
from api.messages import MODELS, ModelStatus, Status
from api.schemas import LOADING, Health
from api.settings import Settings
from models.store import KINDS
from tests.support.errors import assert_error

READY = LOADING.model_copy(update={"status": "ready", "model_loaded": True})
GOOD = ModelStatus(version="xcube-text:1", usable=True)
UNUSABLE = "The fine model cannot be used: demo_fine/model.safetensors: not a readable safetensors file."


def asked(health: Health, models: dict[str, ModelStatus], *, draining: bool = False) -> TestClient:
    """A client of the pages of a service whose Sampler says this."""
    client = SamplerClient(SimpleNamespace())  # type: ignore[arg-type]
    monitor = Monitor(client)
    monitor.status = Status(health=health, models=models)
    generator = Generator(Settings(), client, monitor)
    generator.draining = draining
    pages = Endpoints()
    pages.connect(generator, SimpleNamespace(), dict)  # type: ignore[arg-type]
    app: Any = Gate(pages.app, 1000, Keys(None))
    return TestClient(app)


def ready(http: TestClient, models: Iterable[str] = MODELS) -> dict[str, bool]:
    """Which models are ready."""
    answers: dict[str, httpx.Response] = {name: http.get(f"/v2/models/{name}/ready") for name in models}
    for name, answer in answers.items():
        if answer.status_code == 200:
            assert answer.json() == {"name": name, "ready": True}
        else:
            assert_error(answer, 503)
    return {name: answer.status_code == 200 for name, answer in answers.items()}


def test_the_names_are_those_of_the_model_store() -> None:
    assert MODELS == KINDS == tuple(_TENSORS)


def test_with_all_models_everything_is_ready() -> None:
    http = asked(READY, dict.fromkeys(MODELS, GOOD))
    assert ready(http) == dict.fromkeys(MODELS, True)
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True}
    assert http.get("/v2").json()["name"] == "xcube"
    model = http.get("/v2/models/coarse").json()
    assert (model["name"], model["versions"], model["platform"]) == ("coarse", ["xcube-text:1"], "pytorch")
    assert [tensor["name"] for tensor in model["outputs"]] == ["coarse_xyz", "coarse_normal"]


def test_a_broken_fine_model_is_not_ready_and_the_others_are() -> None:
    models = {"text": GOOD, "coarse": GOOD, "fine": ModelStatus(version="xcube-fine:1", fault=UNUSABLE)}
    http = asked(READY, models)
    assert ready(http, models) == {"text": True, "coarse": True, "fine": False}
    assert assert_error(http.get("/v2/models/fine/ready"), 503, "models_unavailable") == UNUSABLE
    assert assert_error(http.get("/v2/health/ready"), 503, "models_unavailable") == UNUSABLE
    assert http.get("/v2/models/fine").json()["versions"] == ["xcube-fine:1"]


@pytest.mark.parametrize("broken", ["text", "coarse"])
def test_a_broken_model_is_named_by_its_file_by_itself_and_by_those_that_need_it(broken: str) -> None:
    told = f"demo_{broken}/model.safetensors: holds NaN or infinity"
    failed = LOADING.model_copy(update={"status": "error", "error": told})
    models = {"text": GOOD, "coarse": GOOD, "fine": GOOD, broken: ModelStatus(fault=told)}
    http = asked(failed, models)
    assert ready(http, models) == {"text": broken != "text", "coarse": False, "fine": False}
    for name in {"coarse", "fine", broken}:
        assert assert_error(http.get(f"/v2/models/{name}/ready"), 503, "models_unavailable") == told


def test_while_models_load_or_the_service_ends_none_is_ready_but_the_process_lives() -> None:
    loading = asked(LOADING, {})
    answers = [loading.get(f"/v2/models/{name}/ready") for name in MODELS]
    answers += [loading.get("/v2/health/ready"), asked(LOADING, {"text": GOOD}).get("/v2/models/text/ready")]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "loading", "5")
    assert loading.get("/v2/models/fine").json()["versions"] == []
    ending = asked(READY, dict.fromkeys(MODELS, GOOD), draining=True)
    for http in (loading, ending):
        assert http.get("/v2/health/live").status_code == 200
    for path in ("/v2/models/coarse/ready", "/v2/health/ready"):
        assert_error(ending.get(path), 503, "draining")


def test_names_that_there_are_not_are_404() -> None:
    http = asked(READY, {"text": GOOD, "coarse": GOOD})
    for name in ("clip", "fine", "x" * 3000, "%00"):
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/ready"):
            assert "one of text, coarse" in assert_error(http.get(path), 404, "not_found")
    for path in ("/v2/models", "/v2/models/", "/v2/health", "/v2/models/coarse/infer", "/v2/models/a/b/c"):
        assert_error(http.get(path, follow_redirects=False), 404, "not_found")
    refused = http.post("/v2/models/coarse/ready")
    assert_error(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "GET, HEAD"
