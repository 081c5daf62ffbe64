"""POST /variations with the demo models and a shape that is sent along: little strength leaves it as it is."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
import trimesh

from tests.support.paths import ROOT
from tests.support.service import Server, StartServer

pytestmark = pytest.mark.timeout(600)
Voxel = tuple[float, ...]
BODY: dict[str, Any] = {"prompt": "a cube", "ddim_steps": 100, "scheduler": "dpm++", "seed": 2, "use_fine": False}


@pytest.fixture(scope="module")
def demo(start_server: StartServer) -> Server:
    server = start_server(ROOT / "checkpoints")
    server.wait_until_ready()
    return server


@pytest.fixture(scope="module")
def mesh() -> dict[str, str]:
    """A mesh as clients send it."""
    content = trimesh.creation.cylinder(0.25, 0.8).export(file_type="stl")
    return {"file": base64.b64encode(content).decode(), "format": "stl"}


def vary(server: Server, shape: dict[str, str], strength: float, **fields: Any) -> httpx.Response:
    return server.post("/variations", json={**BODY, "shape": shape, "strength": strength, **fields})


def voxels(shape: dict[str, Any]) -> set[Voxel]:
    return set(map(tuple, shape["coarse_xyz"]))


def likeness(one: set[Voxel], other: set[Voxel]) -> float:
    """Intersection over union."""
    return len(one & other) / len(one | other)


def test_a_mesh_comes_back_nearly_unchanged_with_little_strength_and_less_so_with_more(
    demo: Server, mesh: dict[str, str]
) -> None:
    sent = voxels(demo.post("/refine", json={**BODY, "use_fine": True, "fine_steps": 1, "shape": mesh}).json())
    weak = vary(demo, mesh, 0.01)
    assert "x-xcube-warning" not in weak.headers
    assert likeness(sent, voxels(weak.json())) > 0.9
    assert likeness(sent, voxels(vary(demo, mesh, 1.0, seed=3, ddim_steps=10).json())) < 0.8
    upper = vary(demo, mesh, 1.0, ddim_steps=10, box=[[-0.5, 0.0, -0.5], [0.5, 0.5, 0.5]]).json()
    low, kept = ({voxel for voxel in each if voxel[1] < 0} for each in (sent, voxels(upper)))
    assert low == kept
    assert voxels(upper) != sent
    packed = demo.post("/variations?format=npz", json={**BODY, "shape": mesh, "strength": 0.01}).content
    with np.load(io.BytesIO(packed)) as arrays:
        assert len(arrays["coarse_ijk"]) == len(weak.json()["coarse_xyz"])
