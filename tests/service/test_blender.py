"""The add-on in a real Blender without a window, which is installed for this test alone: it brings a gigabyte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.service import Server

pytestmark = [pytest.mark.shared("server"), pytest.mark.slow, pytest.mark.timeout(900)]

ADD_ON = ROOT / "clients" / "blender" / "xcube_serve.py"
PROGRAM = ROOT / "tests" / "support" / "in_blender.py"


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Python with Blender; skips where there is none, as for versions of Python that no Blender has."""
    environment = tmp_path_factory.mktemp("blender") / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "bpy"]
    installed = subprocess.run(install, capture_output=True, text=True)
    if installed.returncode != 0:
        pytest.skip(f"Blender cannot be installed here: {installed.stderr.strip()[-300:]}")
    loaded = subprocess.run([python, "-c", "import bpy"], capture_output=True, text=True)
    if loaded.returncode != 0:
        pytest.skip(f"Blender lacks libraries here: {loaded.stderr.strip()[-300:]}")
    yield python
    shutil.rmtree(environment)


@pytest.fixture(scope="module")
def told(blender: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environment = {**os.environ, "XCUBE_URL": server.url, "HTTP_PROXY": "http://127.0.0.1:9"}
    environment["BLENDER_USER_RESOURCES"] = str(tmp_path_factory.mktemp("resources"))
    done = subprocess.run([blender, PROGRAM, ADD_ON], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["url"] == server.url
    return found


@pytest.mark.parametrize("kind", ["glb", "glb-blocks"])
def test_a_prompt_becomes_an_object_that_stands_upright_at_its_place(
    kind: str, told: dict[str, Any], server: Server
) -> None:
    fields = {"prompt": "a tall chair", "seed": 7, "ddim_steps": 4, "use_fine": False}
    points = np.array(server.post("/generate", json=fields).json()["coarse_xyz"])
    made = told[kind]
    assert made["name"].startswith("a tall chair")
    assert made["seed"] == "7"
    assert made["faces"] > 100
    # Blender's z is up, and what is in front is towards -y.
    upright = points @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    voxel = 1 / 32
    near = 1e-5 if kind == "glb-blocks" else 2.5 * voxel
    np.testing.assert_allclose(made["low"], upright.min(axis=0) - voxel / 2, atol=near)
    np.testing.assert_allclose(made["high"], upright.max(axis=0) + voxel / 2, atol=near)
    if kind == "glb-blocks":
        assert made["colours"] == ["Color"]


def test_variants_are_objects_in_a_row_made_with_a_preset(told: dict[str, Any], server: Server) -> None:
    (seed, place), (second, beside) = told["two"]
    assert (seed, second, place) == ("7", "8", 0)
    assert beside > 1
    assert told["second of two"]["seed"] == "8"
    fields = {"prompt": "a tall chair", "seed": 8, "preset": "draft", "use_fine": False}
    points = np.array(server.post("/generate", json=fields).json()["coarse_xyz"])
    assert told["second of two"]["high"][2] == pytest.approx(points[:, 1].max() + 1 / 64, abs=1e-5)


def test_what_goes_wrong_is_a_sentence(told: dict[str, Any]) -> None:
    assert told["wrong seed"].strip() == "Error: 'seven' is no seed: write a whole number, or nothing"
    assert told["refused"].startswith("Error: prompt ")
    assert told["nobody"].startswith(
        "Error: http://127.0.0.1:9 does not answer: start the service, or change the address"
    )


def test_the_add_on_can_be_switched_on_and_off(told: dict[str, Any]) -> None:
    assert told["panel"]
    assert told["off"]
