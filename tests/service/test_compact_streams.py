"""Shapes in a stream as npz: the same shapes, in far fewer bytes."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest

from cli.generate.service import Service
from cli.generate.service import Shape as Made
from tests.support.errors import assert_error
from tests.support.service import Server

pytestmark = [pytest.mark.quick, pytest.mark.shared("server")]
BODY = {"prompt": "a chair", "ddim_steps": 4, "seed": 61}


def events(server: Server, query: str, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    text = server.post(f"/generate_stream{query}", json={**BODY, **fields}).text
    assert max(map(len, text.split("\n"))) <= 32 * 1024
    blocks = [block.split("\n") for block in text.split("\n\n") if block.startswith("event: ")]
    return [
        (name.removeprefix("event: "), json.loads("\n".join(line.removeprefix("data: ") for line in lines)))
        for name, *lines in blocks
    ]


def arrays(told: dict[str, Any]) -> dict[str, Any]:
    with np.load(io.BytesIO(base64.b64decode("".join(told["npz"])))) as file:
        return dict(file)


def test_coarse_and_completed_hold_the_files_that_the_format_has(server: Server) -> None:
    plain, compact = dict(events(server, "")), dict(events(server, "?shape=npz"))
    for event, stages in (("coarse", ["coarse"]), ("completed", ["coarse", "fine"])):
        found = arrays(compact[event])
        for stage in stages:
            xyz = (found[f"{stage}_ijk"] + 0.5) * found[f"{stage}_voxel_size"]
            assert np.array_equal(xyz.astype(np.float32), np.array(plain[event][f"{stage}_xyz"], np.float32))
    assert compact["coarse"].keys() == {"npz", "seed", "seed_text"}
    assert compact["completed"].keys() == {"npz"}
    file = server.post("/generate?format=npz", json=BODY).content
    assert base64.b64decode("".join(compact["completed"]["npz"])) == file
    assert len(json.dumps(compact["completed"])) < len(json.dumps(plain["completed"])) / 4


def test_each_of_several_variants_holds_one(server: Server) -> None:
    made = [told for name, told in events(server, "?shape=npz", n=2) if name == "variant"]
    assert {each["index"] for each in made} == {0, 1}
    for each in made:
        assert int(arrays(each)["seed"]) == each["seed"]
        assert each["warnings"] == []


def test_another_word_is_refused(server: Server) -> None:
    assert "shape" in assert_error(server.post("/generate_stream?shape=ply", json=BODY), 400)


def test_the_command_reads_the_same_shape_either_way(server: Server) -> None:
    read: list[Made] = []
    with Service(server.url, 60, None) as service:
        for compact in (True, False):
            ((_, made),) = service.generate(BODY, lambda *_: None, compact=compact)
            assert isinstance(made, Made)
            read.append(made)
    small, large = read
    assert small.body is None
    assert large.body is not None
    assert list(small.stages) == list(large.stages) == ["fine", "coarse"]
    for stage in small.stages:
        assert np.array_equal(small.stages[stage][0], large.stages[stage][0])
        assert np.allclose(small.stages[stage][1], large.stages[stage][1], atol=1e-3)
