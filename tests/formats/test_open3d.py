"""Files open in Open3D, which is installed for this test alone: it brings hundreds of megabytes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from formats import FORMATS, file_of
from formats.editing import turned
from models.shape import Shape, Voxels

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAMES = ["ply", "glb", "obj", "stl"]
# The package for machines without a GPU is a quarter of the size, and there is one for Linux only.
PACKAGES = ['open3d-cpu; sys_platform == "linux"', 'open3d; sys_platform != "linux"']
Read = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def opened(result: Shape, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Read]]:
    """Format → what Open3D read from a file of a ball; skips where Open3D cannot be installed."""
    folder = tmp_path_factory.mktemp("open3d")
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *PACKAGES]
    installed = subprocess.run(install, capture_output=True, text=True)
    if installed.returncode != 0:
        pytest.skip(f"Open3D cannot be installed here: {installed.stderr.strip()[-300:]}")
    files = {}
    for format_ in FORMATS:
        if format_.name in NAMES:
            files[format_.name] = folder / f"{format_.name}{format_.suffix}"
            files[format_.name].write_bytes(file_of(format_, result, "1.2.3").content)
    program = Path(__file__).with_name("open3d_reads.py")
    done = subprocess.run([python, program, *files.values()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yield {name: dict(np.load(path.with_suffix(path.suffix + ".read.npz"))) for name, path in files.items()}
    shutil.rmtree(environment)


def test_ply_opens_as_points_with_normals(opened: dict[str, Read], ball: Voxels) -> None:
    np.testing.assert_allclose(opened["ply"]["vertices"], turned(ball, "z").xyz, atol=1e-7)
    np.testing.assert_allclose(opened["ply"]["normals"], turned(ball, "z").normal, atol=1e-6)


@pytest.mark.parametrize("name", ["glb", "obj", "stl"])
def test_a_surface_opens_and_is_watertight(name: str, opened: dict[str, Read]) -> None:
    assert opened[name]["closed"]
    radius = 50.0 if name == "stl" else 0.4  # the ball, 0.8 wide, is 100 mm
    assert opened[name]["volume"] == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)


@pytest.mark.parametrize("name", ["glb", "obj"])
def test_a_surface_brings_its_normals(name: str, opened: dict[str, Read]) -> None:
    vertices, normals = opened[name]["vertices"], opened[name]["normals"]
    assert vertices.shape == normals.shape
    outward = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    angle = np.degrees(np.arccos((outward * normals).sum(axis=1).clip(-1.0, 1.0)))
    # Those that would be computed from the triangles are 3° off.
    assert angle.mean() < 0.5
