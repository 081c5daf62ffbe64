"""USDZ, read back by OpenUSD, with the validators of its own tool usdchecker."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from pxr import Usd, UsdGeom, UsdShade, UsdValidation

from formats import FORMATS, Options, Surface, file_of
from formats.usdz import usdz
from models.shape import Shape
from tests.support.blocks import ABOUT
from tests.support.solids import shell, sphere

USDZ, GLB = (next(format_ for format_ in FORMATS if format_.name == name) for name in ("usdz", "glb"))
FACTS = {
    "prompt": 'a "tall" <chair> \\ {2}\n椅子',
    "seed": str(2**64 - 1),
    "version": "1.2.3",
    "models": "xcube-text:1",
}
BALL = Shape(shell(sphere(0.4), 32), None, 2**64 - 1, prompt=FACTS["prompt"], models=FACTS["models"])
AS_GLB = Options(origin="centre", palette="direction")


def opened(content: bytes, folder: Path) -> Usd.Stage:
    path = folder / "a.usdz"
    path.write_bytes(content)
    return Usd.Stage.Open(str(path))


def mesh_of(stage: Usd.Stage) -> UsdGeom.Mesh:
    (mesh,) = (UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh))
    return mesh


def shown_colours(stage: Usd.Stage) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The colour of each corner of each triangle, found as a renderer finds it, [F, 3, 3]."""
    mesh = mesh_of(stage)
    material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
    colour = material.ComputeSurfaceSource()[0].GetInput("diffuseColor").GetConnectedSources()[0][0].source
    texture = UsdShade.Shader(colour.GetPrim())
    place = UsdShade.Shader(texture.GetInput("st").GetConnectedSources()[0][0].source.GetPrim())
    primvar = UsdGeom.PrimvarsAPI(mesh).GetPrimvar(place.GetInput("varname").Get())
    assert primvar.GetInterpolation() == UsdGeom.Tokens.faceVarying
    st = np.array(primvar.ComputeFlattened())
    package, _, name = texture.GetInput("file").Get().resolvedPath.rpartition("[")
    with zipfile.ZipFile(package) as archive:
        picture = np.asarray(Image.open(io.BytesIO(archive.read(name.rstrip("]")))))
    height, width, _ = picture.shape
    found: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = picture[
        ((1 - st[:, 1]) * height).astype(int), (st[:, 0] * width).astype(int)
    ]
    return found.reshape(-1, 3, 3)


def test_openusd_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    stage = opened(file_of(USDZ, BALL, "1.2.3").content, tmp_path)
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    assert [error.GetMessage() for error in UsdValidation.ValidationContext(validators).Validate(stage)] == []


def test_it_stands_on_the_ground_upright_in_metres_under_its_name(tmp_path: Path) -> None:
    stage = opened(file_of(USDZ, BALL, "1.2.3").content, tmp_path)
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    root = stage.GetDefaultPrim()
    assert root.GetName() == "a_tall_chair_2"
    assert root.GetAssetInfoByKey("name") == 'a "tall" <chair> \\ {2} 椅子'
    told = stage.GetRootLayer().customLayerData
    assert told == {**FACTS, "creator": "xcube-serve 1.2.3", "voxel_size": "0.03125"}
    points = np.array(mesh_of(stage).GetPointsAttr().Get())
    assert points[:, 1].min() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(
        mesh_of(stage).GetExtentAttr().Get(), [points.min(axis=0), points.max(axis=0)], atol=1e-5
    )


def test_it_is_the_surface_of_the_glb(tmp_path: Path) -> None:
    stage = opened(file_of(USDZ, BALL, "1", AS_GLB).content, tmp_path)
    mesh = mesh_of(stage)
    glb = file_of(GLB, BALL, "1", AS_GLB).content
    (other,) = trimesh.load_scene(io.BytesIO(glb), file_type="glb", process=False).geometry.values()
    assert isinstance(other, trimesh.Trimesh)
    np.testing.assert_allclose(mesh.GetPointsAttr().Get(), other.vertices, atol=6e-6)
    np.testing.assert_allclose(mesh.GetNormalsAttr().Get(), other.vertex_normals, atol=6e-4)
    np.testing.assert_array_equal(np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), other.faces)
    assert set(mesh.GetFaceVertexCountsAttr().Get()) == {3}
    assert mesh.GetSubdivisionSchemeAttr().Get() == "none"


@pytest.mark.parametrize("palette", ["direction", "brick"])
def test_each_triangle_has_the_colour_of_the_glb_at_its_first_vertex(palette: str, tmp_path: Path) -> None:
    options = Options(palette=palette)
    shown = shown_colours(opened(file_of(USDZ, BALL, "1", options).content, tmp_path))
    (other,) = trimesh.load_scene(
        io.BytesIO(file_of(GLB, BALL, "1", options).content), file_type="glb", process=False
    ).geometry.values()
    light = np.asarray(other.visual.vertex_attributes["color"])[other.faces[:, 0], :3] / 65535
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    np.testing.assert_array_equal(shown, np.rint(255 * srgb).astype(np.uint8)[:, None].repeat(3, axis=1))
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 10


def test_every_entry_is_stored_at_a_multiple_of_64_bytes_the_layer_first() -> None:
    content = file_of(USDZ, BALL, "1").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["shape.usda", "colours.png"]
        for entry in archive.infolist():
            name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
            assert (entry.header_offset + 30 + name + extra) % 64 == 0
            assert entry.compress_type == zipfile.ZIP_STORED


def test_the_same_shape_is_the_same_bytes() -> None:
    assert file_of(USDZ, BALL, "1").content == file_of(USDZ, BALL, "1").content


def test_a_name_that_usd_cannot_have_is_changed(tmp_path: Path) -> None:
    shape = Shape(BALL.coarse, None, 1, prompt="2 chairs")
    assert opened(file_of(USDZ, shape, "1").content, tmp_path).GetDefaultPrim().GetName() == "_2_chairs"


def test_no_triangle_is_told_in_a_sentence() -> None:
    none = np.zeros((0, 3), np.float32)
    with pytest.raises(ValueError, match="no voxel: there is nothing to write"):
        usdz(Surface(none, none, np.zeros((0, 3), np.int32)), np.zeros((0, 3), np.uint8), ABOUT)
