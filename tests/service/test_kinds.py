"""A prompt that the models do not know is told: before anything is made, and with everything that is made of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from models.kinds import BLANK, UNKNOWN
from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.meshes import furniture
from tests.support.paths import ROOT
from tests.support.saved_models import save_models
from tests.support.service import Server, StartServer
from training.make_dataset import main as make_dataset
from training.meshes.source import MeshSource
from training.shapes import names_of_kinds

HEADER = "X-XCube-Nearest-Kinds"
BODY: dict[str, Any] = {"ddim_steps": 1, "seed": 3, "use_fine": False}


@pytest.fixture(scope="module")
def knowing(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A service whose text model lists the kinds that the demo has."""
    folder = tmp_path_factory.mktemp("knowing") / "checkpoints"
    save_models(folder, kinds=names_of_kinds())
    server = start_server(folder)
    server.wait_until_ready()
    return server


def test_the_kinds_are_listed_with_all_their_names(knowing: Server) -> None:
    listed = knowing.get("/kinds").json()["kinds"]
    assert {each["name"]: tuple(each["names"]) for each in listed} == {
        name: (name, *others) for name, others in names_of_kinds().items()
    }


def test_whether_a_prompt_is_known_is_told_before_anything_is_made(knowing: Server) -> None:
    def ask(prompt: str) -> dict[str, Any]:
        answer: dict[str, Any] = knowing.post("/kinds", json={"prompt": prompt}).json()
        return answer

    assert ask("a tall chair on a table") == {
        "known": True, "kinds": ["chair", "table"], "nearest_kinds": [], "warnings": []
    }  # fmt: skip
    unknown = ask("an armchair")
    assert (unknown["known"], unknown["kinds"], unknown["nearest_kinds"]) == (False, [], ["chair"])
    assert unknown["warnings"] == [f"{UNKNOWN}: nearest are chair"]
    assert ask("&nbsp;")["warnings"] == [BLANK]
    assert_error(knowing.post("/kinds", json={"prompt": " "}), 400)
    assert_error(knowing.post("/kinds", json={"prompt": "a chair", "seed": 1}), 400)


@pytest.mark.parametrize("query", ["", "?format=npz"])
def test_the_answer_has_it_in_headers_and_the_body_is_as_it_was(knowing: Server, query: str) -> None:
    known = knowing.post(f"/generate{query}", json={**BODY, "prompt": "a chair"})
    assert HEADER not in known.headers
    assert "X-XCube-Warning" not in known.headers
    unknown = knowing.post(f"/generate{query}", json={**BODY, "prompt": "xyzzy qwfp"})
    assert unknown.headers["X-XCube-Warning"].startswith(UNKNOWN)
    assert unknown.headers[HEADER] == unknown.headers["X-XCube-Warning"].removeprefix(f"{UNKNOWN}: nearest are ")
    if not query:
        assert list(unknown.json()) == list(known.json()) == ["coarse_xyz", "coarse_normal", "fine_xyz", "fine_normal"]


def test_streams_batches_and_jobs_have_it_as_a_field(knowing: Server) -> None:
    prompt = {**BODY, "prompt": "an armchair"}
    text = knowing.post("/generate_stream", json=prompt).text
    (event,) = [block for block in text.split("\n\n") if block.startswith("event: warning")]
    warnings = [f"{UNKNOWN}: nearest are chair"]
    assert json.loads(event.partition("data: ")[2]) == {"warnings": warnings, "nearest_kinds": ["chair"]}
    results = knowing.post("/batch_generate", json={"prompts": [prompt, "a chair"], **BODY}).json()["results"]
    assert [(each["warnings"], each["nearest_kinds"]) for each in results] == [(warnings, ["chair"]), ([], [])]
    place = knowing.post("/jobs", json=prompt).headers["location"]
    wait_for(lambda: knowing.get(place).json()["state"] == "completed")
    job = knowing.get(place).json()
    assert (job["warnings"], job["nearest_kinds"]) == (warnings, ["chair"])
    assert knowing.get(f"{place}/result").headers[HEADER] == "chair"


def test_files_of_variants_and_meshes_for_other_clients_have_it_too(knowing: Server) -> None:
    prompt, warnings = {**BODY, "prompt": "an armchair"}, [f"{UNKNOWN}: nearest are chair"]
    several = knowing.post("/generate?format=ply", json={**prompt, "n": 2})
    assert several.headers[HEADER] == "chair"
    assert several.headers["X-XCube-Warning"].count(UNKNOWN) == 2
    both = knowing.post("/generate", json={**prompt, "n": 2}).json()["results"]
    assert [(each["warnings"], each["nearest_kinds"]) for each in both] == [(warnings, ["chair"])] * 2
    mesh = {"prompt": "an armchair", "num_inference_steps": 1, "seed": 3}
    data = knowing.post("/v1/meshes", json={**mesh, "response_format": "b64_json"}).json()["data"]
    assert [(each["warnings"], each["nearest_kinds"]) for each in data] == [(warnings, ["chair"])]
    place = "/v1/meshes/" + knowing.post("/v1/meshes", json=mesh).json()["id"]
    wait_for(lambda: knowing.get(place).json()["status"] == "completed")
    made = knowing.get(place).json()
    assert (made["warnings"], made["nearest_kinds"]) == (warnings, ["chair"])
    assert knowing.get(f"{place}/content").headers[HEADER] == "chair"


def test_shapes_made_of_others_have_it_too(knowing: Server) -> None:
    prompt = {**BODY, "prompt": "an armchair", "use_fine": True}
    shape = {"xyz": [[0.01, 0.01, 0.01], [0.04, 0.01, 0.01]]}
    request = {**BODY, "prompt": "a chair"}
    knowing.post("/generate", json=request)
    for path, source in (
        ("/refine", {"shape": shape}), ("/variations", {"of": {"request": request}}), ("/variations", {"shape": shape}),
    ):  # fmt: skip
        answer = knowing.post(path, json={**prompt, **source})
        assert answer.status_code == 200, answer.text
        assert answer.headers[HEADER] == "chair"


def test_the_command_says_it_once_and_before_the_shape(knowing: Server, tmp_path: Path) -> None:
    arguments = ["an armchair", "--steps", "1", "--no-fine", "--count", "2", "--url", knowing.url, "-o", "{seed}.ply"]
    command = [sys.executable, "-m", "cli.generate", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert " ".join(done.stderr.split()).count(f"Note: {UNKNOWN}: nearest are chair") == 1


def test_models_that_list_no_kinds_say_nothing(server: Server) -> None:
    assert server.get("/kinds").json() == {"kinds": []}
    answer = server.post("/kinds", json={"prompt": "xyzzy qwfp"}).json()
    assert answer == {"known": None, "kinds": [], "nearest_kinds": [], "warnings": []}


def test_while_the_models_load_nobody_can_tell(loading: Server) -> None:
    for answer in (loading.get("/kinds"), loading.post("/kinds", json={"prompt": "a chair"})):
        assert (answer.status_code, answer.json()["code"]) == (503, "loading")


@pytest.fixture(scope="module")
def elsewhere(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A service whose models come from the folders of a data set that are not named in Latin letters."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for number in range(4):
        path = folder / "家具" / ("椅子", "стол")[number % 2] / f"{number}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        furniture(("stool", "table")[number % 2], number).export(path)
    how = ["--out", str(folder / "set"), "--resolution", "64", "--heldout", "0", "--workers", "1"]
    assert make_dataset([str(folder / "家具"), *how]) == 0
    save_models(folder / "checkpoints", kinds=MeshSource.open(folder / "set").kinds)
    server = start_server(folder / "checkpoints")
    server.wait_until_ready()
    return server


def test_kinds_in_other_scripts_go_from_the_data_set_to_health_and_to_a_served_prompt(elsewhere: Server) -> None:
    health = elsewhere.get("/health").json()
    assert (health["model_set"], health["kinds"]) == ("demo", ["стол", "椅子"])
    assert [each["name"] for each in elsewhere.get("/kinds").json()["kinds"]] == ["стол", "椅子"]
    known = elsewhere.post("/generate", json={**BODY, "prompt": "一把红色的椅子"})
    assert known.status_code == 200
    assert HEADER not in known.headers


def test_headers_tell_kinds_in_other_scripts_percent_encoded(elsewhere: Server) -> None:
    unknown = elsewhere.post("/generate", json={**BODY, "prompt": "an armchair"})
    assert unknown.status_code == 200
    assert set(unquote(unknown.headers[HEADER]).split(", ")) == {"стол", "椅子"}
    assert unquote(unknown.headers["X-XCube-Warning"]).startswith(f"{UNKNOWN}: nearest are ")
    several = elsewhere.post("/generate?format=ply", json={**BODY, "prompt": "an armchair", "n": 2})
    assert "椅子" in unquote(several.headers["X-XCube-Warning"])
