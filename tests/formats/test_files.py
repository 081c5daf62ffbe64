"""Files of a result, opened with the libraries that people open them with (Open3D: test_open3d.py)."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
import trimesh

from formats import FORMATS, Options, file_of
from formats.editing import turned
from formats.json_text import write_json
from models.shape import Shape, Voxels

VERSION = "1.2.3"
BY_NAME = {format_.name: format_ for format_ in FORMATS}
SURFACES = ["glb", "obj", "stl"]
UNIT = {"stl": 100 / 0.8}  # the ball, 0.8 wide, is 100 mm


@pytest.fixture(scope="module")
def files(result: Shape, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Format → a file of the result."""
    folder = tmp_path_factory.mktemp("files")
    paths = {}
    for name, format_ in BY_NAME.items():
        paths[name] = folder / f"{name}{format_.suffix}"
        paths[name].write_bytes(file_of(format_, result, VERSION).content)
    return paths


def angle_deg(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other), axis=1), (one * other).sum(axis=1)))


def tree_of(content: bytes) -> Any:
    """The JSON of a binary glTF."""
    (length,) = struct.unpack("<I", content[12:16])
    return json.loads(content[20 : 20 + length])


def test_json_is_what_the_service_always_wrote(files: dict[str, Path], result: Shape) -> None:
    assert files["json"].read_bytes() == write_json(result)


def test_npz_holds_both_stages_exactly(files: dict[str, Path], result: Shape) -> None:
    assert result.fine is not None
    with np.load(files["npz"], allow_pickle=False) as loaded:
        for stage, voxels in (("coarse", result.coarse), ("fine", result.fine)):
            assert loaded[f"{stage}_ijk"].dtype == np.int16
            np.testing.assert_array_equal(loaded[f"{stage}_ijk"], voxels.ijk)
            assert loaded[f"{stage}_normal"].dtype == np.float16
            assert angle_deg(loaded[f"{stage}_normal"], voxels.normal).max() < 1.0
            assert loaded[f"{stage}_voxel_size"] == voxels.voxel_size
        arrays = {f"{stage}_{name}" for stage in ("coarse", "fine") for name in ("ijk", "normal", "voxel_size")}
        assert set(loaded) == arrays | {"seed", "version"}
        assert int(loaded["seed"]) == result.seed
        assert str(loaded["version"]) == VERSION


@pytest.mark.parametrize("seed", [-(2**63), 0, 2**64 - 1])
def test_npz_keeps_every_seed_that_a_client_may_send(result: Shape, seed: int) -> None:
    content = file_of(BY_NAME["npz"], Shape(result.coarse, None, seed), VERSION).content
    with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
        assert int(loaded["seed"]) == seed
        assert not [name for name in loaded if name.startswith("fine")]


def test_ply_opens_in_trimesh_and_meshio_as_points_with_normals(files: dict[str, Path], ball: Voxels) -> None:
    upright = turned(ball, "z")
    np.testing.assert_allclose(trimesh.load(files["ply"]).vertices, upright.xyz, atol=1e-7)
    opened = meshio.read(files["ply"])
    np.testing.assert_allclose(opened.points, upright.xyz, atol=1e-7)
    normal = np.stack([opened.point_data[axis] for axis in ("nx", "ny", "nz")], axis=1)
    np.testing.assert_allclose(normal, upright.normal, atol=1e-6)


@pytest.mark.parametrize("name", SURFACES)
def test_a_surface_opens_in_trimesh_and_is_watertight(name: str, files: dict[str, Path]) -> None:
    opened = trimesh.load(files[name], force="mesh")
    assert opened.is_watertight
    assert opened.volume == pytest.approx(4 / 3 * np.pi * (0.4 * UNIT.get(name, 1.0)) ** 3, rel=0.03)


@pytest.mark.parametrize("name", ["obj", "stl"])
def test_a_surface_opens_in_meshio(name: str, files: dict[str, Path]) -> None:
    opened = meshio.read(files[name])
    triangles = opened.points[opened.cells_dict["triangle"]]
    volume = np.linalg.det(triangles).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi * (0.4 * UNIT.get(name, 1.0)) ** 3, rel=0.03)


@pytest.mark.parametrize("name", ["glb", "obj"])
def test_a_surface_brings_its_normals(name: str, files: dict[str, Path]) -> None:
    (opened,) = trimesh.load_scene(files[name], process=False).geometry.values()
    outward = opened.vertices / np.linalg.norm(opened.vertices, axis=1, keepdims=True)
    # Those that trimesh would compute from the triangles are 3° off.
    assert angle_deg(opened.vertex_normals, outward).mean() < 0.5


def test_glb_points_open_in_trimesh(files: dict[str, Path], ball: Voxels) -> None:
    (points,) = trimesh.load(files["glb-points"], force="scene").geometry.values()
    assert isinstance(points, trimesh.PointCloud)
    np.testing.assert_allclose(points.vertices, ball.xyz, atol=1e-7)
    # Viewers light no points, so the colours have to show the shape.
    assert (points.colors[:, 3] == 255).all()


def test_glb_points_hold_their_normals_in_the_bytes_that_the_tree_names(files: dict[str, Path], ball: Voxels) -> None:
    content = files["glb-points"].read_bytes()
    magic, version, total, length = struct.unpack("<4sIII", content[:16])
    assert (magic, version, total) == (b"glTF", 2, len(content))
    tree = json.loads(content[20 : 20 + length])
    body = content[28 + length :]
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    normal = np.frombuffer(body, "<f4", 3 * accessor["count"], view["byteOffset"]).reshape(-1, 3)
    np.testing.assert_array_equal(normal, ball.normal)


@pytest.mark.parametrize("name", ["glb", "glb-points"])
def test_a_glb_tells_its_seed_and_version(name: str, files: dict[str, Path], result: Shape) -> None:
    extras = tree_of(files[name].read_bytes())["asset"]["extras"]
    assert (extras["seed"], extras["version"]) == (str(result.seed), VERSION)


@pytest.mark.parametrize("name", ["glb", "glb-points"])
def test_a_glb_names_what_it_holds_and_says_what_its_bytes_are_for(name: str, files: dict[str, Path]) -> None:
    """The Khronos validator has hints for a file that does not."""
    tree = tree_of(files[name].read_bytes())
    assert [each.get("name") for each in tree["nodes"]] == ["shape"]
    (primitive,) = tree["meshes"][0]["primitives"]
    targets = [view["target"] for view in tree["bufferViews"]]
    view_of = {accessor: each["bufferView"] for accessor, each in enumerate(tree["accessors"])}
    assert [targets[view_of[accessor]] for accessor in primitive["attributes"].values()] == [34962] * len(
        primitive["attributes"]
    )
    if name == "glb":
        assert targets[view_of[primitive["indices"]]] == 34963


@pytest.mark.parametrize("name", ["glb", "glb-points", "glb-blocks"])
def test_a_glb_s_colours_are_of_linear_light(name: str, result: Shape) -> None:
    """Those of a palette are sRGB, as on screens; with 128 for 0.22 a viewer would show 188."""
    content = file_of(BY_NAME[name], result, VERSION, Options(palette="a=8000ff")).content
    tree = tree_of(content)
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    assert (accessor["componentType"], accessor["normalized"], accessor["type"]) == (5123, True, "VEC4")
    (length,) = struct.unpack("<I", content[12:16])
    start = 28 + length + tree["bufferViews"][accessor["bufferView"]]["byteOffset"]
    colour = np.frombuffer(content, "<u2", 4 * accessor["count"], start).reshape(-1, 4)
    np.testing.assert_array_equal(np.unique(colour, axis=0), [[14146, 0, 65535, 65535]])


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_same_result_gives_the_same_bytes(name: str, files: dict[str, Path], result: Shape) -> None:
    assert file_of(BY_NAME[name], result, VERSION).content == files[name].read_bytes()


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_coarse_result_of_one_voxel_can_be_written_in_every_format(name: str) -> None:
    voxel = Voxels(np.zeros((1, 3), np.int16), np.array([[0, 0, 1]], np.float32), 1 / 32)
    assert file_of(BY_NAME[name], Shape(voxel, None, 0), VERSION).content
