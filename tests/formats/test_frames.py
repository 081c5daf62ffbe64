"""Which way is up, how large, and where: told by readers that are not ours, of a shape that no turn leaves alike.

The shape is a flag: a mast along +y from the ground, a cloth at its top that reaches out to +x, a foot towards +z.
"""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest
import trimesh

from formats import FORMATS, OptionError, Options, file_of
from formats.kinds import About
from models.shape import Shape
from tests.support.solids import flag

BY_NAME = {format_.name: format_ for format_ in FORMATS}
FLAG = Shape(flag(), None, seed=1)


def opened(name: str, folder: Path, options: Options | None = None) -> trimesh.Trimesh | trimesh.PointCloud:
    path = folder / f"flag{BY_NAME[name].suffix}"
    path.write_bytes(file_of(BY_NAME[name], FLAG, "1", options).content)
    (geometry,) = trimesh.load_scene(path, process=False).geometry.values()
    return geometry


def ends(vertices: np.ndarray, up: int, out: int = 0) -> tuple[float, float]:
    """How far what is up there and what is down there reaches out, in parts of the height."""
    height = np.ptp(vertices[:, up])
    middle = vertices[:, up].min() + height / 2
    return (
        float(np.ptp(vertices[vertices[:, up] > middle, out]) / height),
        float(np.ptp(vertices[vertices[:, up] <= middle, out]) / height),
    )


@pytest.mark.parametrize(
    ("name", "up"), [("glb", 1), ("glb-points", 1), ("obj", 1), ("ply", 2), ("stl", 2)], ids=lambda value: str(value)
)
def test_a_flag_stands_upright_in_every_format_with_its_cloth_to_the_right(name: str, up: int, tmp_path: Path) -> None:
    vertices = np.asarray(opened(name, tmp_path).vertices)
    assert np.argmax(np.ptp(vertices, axis=0)) == up
    top, bottom = ends(vertices, up)
    assert top > 0.3 > 0.25 > bottom
    assert vertices[:, 0].max() > -2 * vertices[:, 0].min()


@pytest.mark.parametrize("name", ["ply", "stl", "obj"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_up_may_be_chosen_and_the_foot_stays_in_front(name: str, up: str, tmp_path: Path) -> None:
    """It is a turn, no reflection: seen from the side, what was to the right and in front is so still."""
    vertices = np.asarray(opened(name, tmp_path, Options(up=up, origin="centre")).vertices)  # type: ignore[arg-type]
    axis, front = (1, vertices[:, 2]) if up == "y" else (2, -vertices[:, 1])
    assert np.argmax(np.ptp(vertices, axis=0)) == axis
    foot = vertices[:, axis] < vertices[:, axis].min() + 0.3 * np.ptp(vertices[:, axis])
    assert front[foot].max() > 1.5 * np.abs(front[~foot]).max()


@pytest.mark.parametrize("read", ["trimesh", "meshio"])
def test_an_stl_stands_on_the_ground_100_mm_high_in_a_slicer(read: str, tmp_path: Path) -> None:
    vertices = np.asarray(opened("stl", tmp_path).vertices)
    if read == "meshio":
        vertices = meshio.read(tmp_path / "flag.stl").points
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    np.testing.assert_allclose([low[2], high[2]], [0.0, 100.0], atol=1e-4)
    assert low[0] < 0 < high[0]


def test_length_mm_is_the_longest_side(tmp_path: Path) -> None:
    vertices = np.asarray(opened("stl", tmp_path, Options(length_mm=42.5, up="y")).vertices)
    np.testing.assert_allclose(np.ptp(vertices, axis=0).max(), 42.5, atol=1e-4)


@pytest.mark.parametrize("name", ["ply", "stl", "glb", "obj", "glb-points"])
def test_the_origin_may_be_chosen(name: str, tmp_path: Path) -> None:
    up = 2 if name in ("ply", "stl") else 1
    half = 0.5 * FLAG.coarse.voxel_size if BY_NAME[name].kind == "points" else 0.0  # centres of voxels
    corner = np.asarray(opened(name, tmp_path, Options(origin="corner")).vertices)
    np.testing.assert_allclose(corner.min(axis=0), half, atol=1e-5)
    ground = np.asarray(opened(name, tmp_path, Options(origin="ground")).vertices)
    np.testing.assert_allclose(ground.min(axis=0)[up], half, atol=1e-5)
    assert ground[:, 0].min() < 0
    centre = np.asarray(opened(name, tmp_path, Options(origin="centre")).vertices)
    scale = np.ptp(centre[:, up]) / np.ptp(ground[:, up])
    assert scale == pytest.approx(1.0)
    assert centre[:, up].min() == pytest.approx(-centre[:, up].max(), rel=0.1)


def test_defaults_change_no_byte_of_json_and_npz() -> None:
    for name in ("json", "npz"):
        plain = BY_NAME[name].write(FLAG, About("1", 1, "", FLAG.coarse.voxel_size))
        assert file_of(BY_NAME[name], FLAG, "1").content == plain
        assert file_of(BY_NAME[name], FLAG, "1", Options(up="y", origin="centre", levels=1)).content == plain


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("glb", Options(up="z"), "up is y in glb"),
        ("vox", Options(up="y"), "up is z in vox"),
        ("ply", Options(length_mm=10.0), "length_mm does not apply to ply"),
    ],
)
def test_a_combination_that_makes_no_sense_is_refused_in_a_sentence(name: str, options: Options, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        file_of(BY_NAME[name], FLAG, "1", options)
