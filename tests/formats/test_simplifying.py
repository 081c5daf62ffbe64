"""Surfaces of few triangles, levels, and files from a process of its own: what options make of surfaces and blocks."""

from __future__ import annotations

import asyncio
import io
import zipfile

import numpy as np
import pytest
import trimesh

from formats import FORMATS, FileWriter, Options, file_of, writing
from formats.simplifying import simplified
from models.errors import ShapeError
from models.shape import Shape, Voxels
from tests.support.solids import box, shell, sphere, torus

BY_NAME = {format_.name: format_ for format_ in FORMATS}


def mesh(voxels: Voxels, faces: int) -> trimesh.Trimesh:
    made = simplified(voxels, faces)
    return trimesh.Trimesh(made.vertices, made.faces, vertex_normals=made.normals, process=False)


@pytest.mark.parametrize("faces", [100, 1000, 10_000])
@pytest.mark.parametrize(
    "voxels", [shell(torus(0.3, 0.1), 64), shell(box((0.4, 0.03, 0.4)), 64)], ids=["torus", "plate"]
)
def test_few_triangles_are_closed_and_where_the_shape_is(voxels: Voxels, faces: int) -> None:
    made, whole = mesh(voxels, faces), mesh(voxels, 10**6)
    assert made.is_watertight
    assert len(made.faces) <= 1.02 * faces < len(whole.faces)
    assert made.volume == pytest.approx(whole.volume, rel=0.25 if faces == 100 else 0.1)
    assert made.euler_number == whole.euler_number
    np.testing.assert_allclose(made.bounds, whole.bounds, atol=0.03)
    np.testing.assert_allclose(np.linalg.norm(made.vertex_normals, axis=1), 1.0, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_voxels_few_triangles_are_closed(seed: int) -> None:
    generator = np.random.default_rng(seed)
    ijk = np.unique(generator.integers(-12, 12, (3000, 3)), axis=0)
    normal = generator.normal(size=ijk.shape)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    made = mesh(Voxels(ijk.astype(np.int16), normal.astype(np.float32), 1 / 32), 400)
    assert made.is_watertight
    assert 0 < len(made.faces) <= 408


def test_levels_are_a_zip_of_files_that_lie_in_each_other() -> None:
    shape = Shape(shell(sphere(0.4), 64), None, 1)
    content = file_of(BY_NAME["stl"], shape, "1", Options(levels=3, faces=4000)).content
    assert content == file_of(BY_NAME["stl"], shape, "1", Options(levels=3, faces=4000)).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["level-0.stl", "level-1.stl", "level-2.stl"]
        opened = [trimesh.load(io.BytesIO(archive.read(name)), file_type="stl") for name in archive.namelist()]
    assert [len(each.faces) for each in opened] == [4000, 1000, 250]
    for each in opened:
        assert each.is_watertight
        np.testing.assert_allclose(each.bounds, opened[0].bounds, atol=6.0)  # of 100 mm
    np.testing.assert_allclose(opened[0].extents.max(), 100.0, atol=1e-3)


def test_levels_of_blocks_halve_the_size_and_double_the_edge() -> None:
    shape = Shape(shell(sphere(0.4), 64), None, 1)
    with zipfile.ZipFile(io.BytesIO(file_of(BY_NAME["npz"], shape, "1", Options(levels=3)).content)) as archive:
        files = [np.load(io.BytesIO(archive.read(name))) for name in archive.namelist()]
    assert [int(np.ptp(each["coarse_ijk"], axis=0).max()) + 1 for each in files] == [52, 26, 14]
    assert [float(each["coarse_voxel_size"]) for each in files] == [1 / 64, 1 / 32, 1 / 16]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("npz", Options(size=40, up="z", mirror="x")),
        ("vox", Options(palette="a=ff0000,b=00ff00", fill="solid", size=40)),
        ("stl", Options(length_mm=20, faces=500)),
        ("report", Options(clean=True)),
    ],
)
def test_a_process_of_its_own_gets_options_prompt_and_both_stages(
    name: str, options: Options, result: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LARGE", 1)
    shape = Shape(result.coarse, result.fine, result.seed, prompt="a golden ball")
    assert asyncio.run(FileWriter().write(BY_NAME[name], shape, "1", options)) == file_of(
        BY_NAME[name], shape, "1", options
    )


def test_a_shape_that_does_not_fit_is_told_by_the_process_as_by_the_thread(
    result: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(size=1024, fill="solid")
    with pytest.raises(ShapeError) as here:
        file_of(BY_NAME["vox"], result, "1", options)
    monkeypatch.setattr(writing, "LARGE", 1)
    with pytest.raises(ShapeError) as there:
        asyncio.run(FileWriter().write(BY_NAME["vox"], result, "1", options))
    assert str(here.value) == str(there.value)
