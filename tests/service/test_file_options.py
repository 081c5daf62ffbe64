"""Options of files in the URL, against the real service: wherever a format can be asked for."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from tests.support.errors import assert_error
from tests.support.figures import wait_for
from tests.support.service import Server

pytestmark = [pytest.mark.quick, pytest.mark.shared("server")]
BODY = {"prompt": "a wooden chair", "ddim_steps": 4, "seed": 1}


def arrays(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
        return dict(loaded)


def test_a_size_and_the_frame_can_be_asked_for_and_the_headers_tell_what_came_out(server: Server) -> None:
    answer = server.post("/generate?format=npz&size=24&origin=corner&up=z&clean=true", json=BODY)
    assert answer.status_code == 200, answer.text
    ijk = arrays(answer.content)["fine_ijk"]
    assert ijk.min(axis=0).tolist() == [0, 0, 0]
    assert ijk.max() == 23
    report = server.post("/generate?format=report&size=24&up=z&clean=true", json=BODY)
    assert report.headers["x-xcube-size"] == "x".join(str(side) for side in ijk.max(axis=0) + 1)
    assert report.headers["x-xcube-voxels"] == str(len(ijk))
    assert report.json()["pieces"] == int(report.headers["x-xcube-pieces"])
    assert report.json()["prompt"] == "a wooden chair"


def test_a_job_s_result_and_the_answer_are_the_same_file_with_the_prompt_s_colours(server: Server) -> None:
    options = {"format": "vox", "size": "20", "mirror": "x"}
    answer = server.post("/generate", params=options, json=BODY)
    job = server.post("/jobs", json=BODY).json()["id"]
    wait_for(lambda: server.get(f"/jobs/{job}").json()["state"] == "completed")
    assert server.get(f"/jobs/{job}/result", params=options).content == answer.content
    other = server.post("/generate", params=options, json={**BODY, "prompt": "a golden chair"})
    palettes = [content[content.index(b"RGBA") :] for content in (answer.content, other.content)]
    assert palettes[0] != palettes[1]


def test_events_hold_the_shape_as_json_with_the_same_options_has_it(server: Server) -> None:
    answer = server.post("/generate?up=z&size=24", json=BODY)
    stream = server.post("/generate_stream?up=z&size=24", json=BODY).text
    completed = stream.split("event: completed\n")[1]
    told = json.loads("".join(line.removeprefix("data: ") for line in completed.splitlines()))
    assert told == answer.json()
    coarse = json.loads(stream.split("event: coarse\ndata: ")[1].split("\n\n")[0].replace("\ndata: ", ""))
    assert coarse["coarse_xyz"] == told["coarse_xyz"]
    assert told["coarse_xyz"] != server.post("/generate", json=BODY).json()["coarse_xyz"]


def test_levels_come_as_a_zip(server: Server) -> None:
    answer = server.post("/generate?format=ply&levels=2", json=BODY)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="a-wooden-chair-1.zip"'
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["level-0.ply", "level-1.ply"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/generate?format=vox&size=0&fill=full", ["size should be", "fill should be"]),
        ("/generate?format=glb&up=z&length_mm=3", ["up is y in glb", "length_mm does not apply to glb"]),
        ("/generate?faces=500", ["faces does not apply to json"]),
        ("/generate_stream?levels=2", ["levels makes a ZIP"]),
        ("/generate_stream?size=x", ["size should be"]),
        ("/jobs/unknown/result?format=vox", None),
    ],
)
def test_every_wrong_option_is_named_before_any_work(server: Server, path: str, words: list[str] | None) -> None:
    if words is None:
        assert_error(server.get(path), 404, "not_found")
        return
    answer = server.post(path, json={**BODY, "ddim_steps": 1000})
    assert_error(answer, 400, "invalid_request")
    assert all(word in answer.json()["error"] for word in words), answer.json()["error"]


def test_a_batch_has_no_options(server: Server) -> None:
    answer = server.post("/batch_generate?size=20", json={"prompts": ["a chair"], "ddim_steps": 2})
    assert_error(answer, 400, "invalid_request")
    assert answer.json()["error"].startswith("size in the URL")


def test_what_does_not_fit_gets_422(server: Server) -> None:
    answer = server.post("/generate?format=vox&fill=solid&size=1024", json=BODY)
    assert_error(answer, 422, "unfit_shape")
