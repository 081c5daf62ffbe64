"""3MF, read back by the 3MF Consortium's own library, which has wheels for the commonest machines alone."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats import FORMATS, Surface, file_of, surface
from formats.printing import three_mf
from models.shape import Shape, Voxels
from tests.support.blocks import ABOUT

(THREE_MF,) = (format_ for format_ in FORMATS if format_.name == "3mf")


def read(content: bytes, folder: Path) -> tuple[Any, Any]:
    """The model and its only mesh; the library has found nothing to warn of."""
    lib3mf = pytest.importorskip("lib3mf", reason="lib3mf has no wheel for this machine")
    (folder / "a.3mf").write_bytes(content)
    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromFile(str(folder / "a.3mf"))
    assert reader.GetWarningCount() == 0
    meshes = model.GetMeshObjects()
    assert meshes.MoveNext()
    mesh = meshes.GetCurrentMeshObject()
    assert not meshes.MoveNext()
    assert model.GetBuildItems().Count() == 1
    return model, mesh


def test_a_3mf_stands_on_the_ground_100_mm_long_in_a_slicer(result: Shape, tmp_path: Path) -> None:
    model, mesh = read(file_of(THREE_MF, result, "1").content, tmp_path)
    assert model.GetUnit() == type(model.GetUnit()).MilliMeter
    assert mesh.IsManifoldAndOriented()
    box = mesh.GetOutbox()
    low, high = np.array(box.MinCoordinate[:]), np.array(box.MaxCoordinate[:])
    assert (high - low).max() == pytest.approx(100, abs=1e-3)
    assert low[2] == pytest.approx(0, abs=1e-3)
    assert low[:2] == pytest.approx(-high[:2], abs=1)


def test_every_vertex_and_triangle_comes_back(ball: Voxels, tmp_path: Path) -> None:
    made = surface(ball)
    wide = Surface((made.vertices * 12_345).astype(np.float32), made.normals, made.faces)
    _, mesh = read(three_mf(wide, ABOUT), tmp_path)
    vertices = np.array([vertex.Coordinates[:] for vertex in mesh.GetVertices()])
    faces = np.array([triangle.Indices[:] for triangle in mesh.GetTriangleIndices()])
    np.testing.assert_allclose(vertices, wide.vertices, atol=1e-3)
    np.testing.assert_array_equal(faces, wide.faces)


def test_prusaslicer_reads_the_size_that_lib3mf_reads(result: Shape, tmp_path: Path) -> None:
    """It takes fewer ways to write a number than the specification allows: +1.5 is 0 to it."""
    if shutil.which("prusa-slicer") is None:
        pytest.skip("prusa-slicer is not installed (Debian: prusa-slicer)")
    (tmp_path / "ball.3mf").write_bytes(file_of(THREE_MF, result, "1").content)
    done = subprocess.run(["prusa-slicer", "--info", "ball.3mf"], cwd=tmp_path, capture_output=True, text=True)
    told = dict(re.findall(r"^(\w+) = +(.+)$", done.stdout, re.MULTILINE))
    assert told["manifold"] == "yes"
    assert float(told["size_z"]) == pytest.approx(100, abs=1e-3)
    assert float(told["min_z"]) == pytest.approx(0, abs=1e-3)
    assert float(told["max_x"]) == pytest.approx(-float(told["min_x"]), abs=1)
    assert float(told["volume"]) == pytest.approx(4 / 3 * np.pi * 50**3, rel=0.03)


def test_no_number_has_a_plus_sign(ball: Voxels) -> None:
    with zipfile.ZipFile(io.BytesIO(three_mf(surface(ball), ABOUT))) as archive:
        model = archive.read("3D/3dmodel.model").decode()
    numbers = re.findall(r'[xyz]="([^"]+)"', model)
    assert len(numbers) == 3 * len(surface(ball).vertices)
    assert all(re.fullmatch(r"-?\d+\.\d{4}", number) for number in numbers)


def test_the_same_surface_is_the_same_bytes_and_a_sound_zip(ball: Voxels) -> None:
    content = three_mf(surface(ball), ABOUT)
    assert content == three_mf(surface(ball), ABOUT)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["[Content_Types].xml", "_rels/.rels", "3D/3dmodel.model"]


def test_no_triangle_is_told_in_a_sentence() -> None:
    none = np.zeros((0, 3), np.float32)
    with pytest.raises(ValueError, match="no voxel: there is nothing to write"):
        three_mf(Surface(none, none, np.zeros((0, 3), np.int32)), ABOUT)
