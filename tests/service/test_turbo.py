"""preset=turbo through HTTP: beside the own networks of the same models, in batches, streams, jobs and from shapes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from cli.generate.__main__ import main as generate
from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.leaving import ONE_STEP_SLICES
from tests.support.saved_models import save_models
from tests.support.service import ANEW, Server, StartServer

TURBO: dict[str, Any] = {"prompt": "a chair", "preset": "turbo", "seed": 1}
OWN: dict[str, Any] = {"prompt": "a chair", "ddim_steps": 4, "guidance_scale": 1.0, "seed": 1}
NONE = "preset turbo needs a turbo pair, which these models do not have: leave preset out or take another one."


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models with a turbo pair, in a store of their own: other services must not find the pair in theirs."""
    folder = tmp_path_factory.mktemp("turbo")
    save_models(folder / "models", turbo=True)
    return folder


@pytest.fixture(scope="module")
def service(start_server: StartServer, place: Path) -> Server:
    running = start(start_server, place)
    running.wait_until("ready")
    return running


def start(start_server: StartServer, place: Path, **settings: str) -> Server:
    return start_server(place / "models", BENTOML_HOME=str(place / "home"), **settings)


def made(service: Server, path: str = "/generate", **fields: Any) -> dict[str, Any]:
    answer = service.post(path, json=fields, headers=ANEW)
    assert answer.status_code == 200, answer.text
    shape: dict[str, Any] = answer.json()
    return shape


def test_a_service_tells_its_presets_and_makes_shapes_with_either_network(service: Server) -> None:
    assert service.get("/health").json()["presets"] == ["draft", "standard", "best", "turbo"]
    assert service.get("/v1/models").json()["data"][0]["presets"] == ["draft", "standard", "best", "turbo"]
    assert service.get("/v2/models/turbo_fine/ready").json()["ready"]
    turbo, own = made(service, **TURBO), made(service, **OWN)
    assert turbo["coarse_xyz"] != own["coarse_xyz"]
    assert len(turbo["fine_xyz"]) > 100
    assert made(service, **TURBO) == turbo
    tags = [service.post("/generate", json=body).headers["etag"] for body in (TURBO, OWN)]
    assert tags[0] != tags[1]


def test_a_batch_of_both_networks_has_the_bytes_of_each_alone(service: Server) -> None:
    items = [{**TURBO, "seed": 1}, OWN, {**TURBO, "seed": 2}, {**OWN, "seed": 2}]
    alone = [made(service, **item) for item in items]
    together = made(service, "/batch_generate", prompts=items)["results"]
    assert [{name: result[name] for name in alone[0]} for result in together] == alone


def test_a_stream_tells_four_steps_of_each_stage_and_previews_are_possible(service: Server) -> None:
    headers = {"Accept": "text/event-stream", **ANEW}
    text = service.post("/generate?previews=2", json=TURBO, headers=headers).text
    events = [block.partition("data: ")[2] for block in text.split("\n\n") if "event: progress" in block]
    assert {(told["stage"], told["steps"]) for told in map(json.loads, events)} == {("coarse", 4), ("fine", 4)}
    assert "event: completed" in text


def test_shapes_are_refined_and_varied_in_turbo(service: Server) -> None:
    whole = made(service, **TURBO)
    coarse = {"xyz": whole["coarse_xyz"], "normal": whole["coarse_normal"]}
    assert made(service, "/refine", **TURBO, shape=coarse)["fine_xyz"] == whole["fine_xyz"]
    service.post("/generate", json=OWN)  # its latent is kept now
    varied = made(service, "/variations", **{**TURBO, "seed": 2}, of={"request": OWN}, strength=1.0)
    assert varied == made(service, **{**TURBO, "seed": 2})
    half = made(service, "/variations", **{**TURBO, "seed": 2}, of={"request": OWN}, strength=0.5)
    assert half["coarse_xyz"] not in (varied["coarse_xyz"], whole["coarse_xyz"])


def test_other_steps_are_refused_in_one_sentence(service: Server) -> None:
    told = "should leave ddim_steps out: preset turbo takes 4 steps of ddim in each stage, and no others"
    for path, body in (
        ("/generate", {**TURBO, "ddim_steps": 8}),
        ("/jobs", {**TURBO, "ddim_steps": 8}),
        ("/batch_generate", {"prompts": [{"prompt": "x", "ddim_steps": 8}], "preset": "turbo"}),
    ):
        assert told in assert_error(service.post(path, json=body), 400, "invalid_request")


def test_clients_of_openai_s_api_ask_for_it_too(service: Server) -> None:
    order = {**TURBO, "response_format": "b64_json", "output_format": "json"}
    file = made(service, "/v1/meshes", **order)["data"][0]["b64_json"]
    assert json.loads(base64.b64decode(file))["coarse_xyz"] == made(service, **TURBO)["coarse_xyz"]
    refused = service.post("/v1/meshes", json={**order, "num_inference_steps": 8})
    assert refused.status_code == 400
    assert "preset turbo takes 4 steps" in refused.json()["error"]["message"]


def test_the_command_makes_a_turbo_shape(service: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["a chair", "--preset", "turbo", "--seed", "1", "--format", "json", "-o", "c.json", "--url", service.url]
    with pytest.raises(SystemExit) as ended:
        generate(command)
    assert ended.value.code == 0
    assert json.loads(Path("c.json").read_text())["coarse_xyz"] == made(service, **TURBO)["coarse_xyz"]


def test_a_turbo_job_goes_on_with_its_students_after_the_service_was_killed(
    start_server: StartServer, service: Server, place: Path, tmp_path: Path
) -> None:
    expected = made(service, **TURBO)
    settings = {"XCUBE_JOBS_DIR": str(tmp_path / "jobs"), **ONE_STEP_SLICES}
    first = start(start_server, place, **settings)
    first.wait_until("ready")
    job = first.post("/jobs", json=TURBO).headers["location"]
    wait_for(lambda: first.get(job).json()["state"] != "pending")
    first.kill()
    second = start(start_server, place, **settings)
    second.wait_until("ready")
    wait_for(lambda: second.get(job).json()["state"] == "completed")
    assert second.get(f"{job}/result").json() == expected


@pytest.mark.shared("server")
def test_a_service_without_a_pair_says_so(server: Server) -> None:
    assert server.get("/health").json()["presets"] == ["draft", "standard", "best"]
    for path in ("/generate", "/jobs"):
        assert assert_error(server.post(path, json=TURBO), 400, "invalid_request") == NONE
    (result,) = server.post("/batch_generate", json={"prompts": ["x"], "preset": "turbo"}).json()["results"]
    assert (result["code"], result["error"]) == ("invalid_request", NONE)
