"""Files of meshes and voxels, written by libraries that are not ours, are read as the same mesh."""

from __future__ import annotations

import locale
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh

from formats.meshes import SUFFIXES, read_mesh
from formats.meshes.polygons import ears
from models.errors import MeshError
from models.shape import Shape, Voxels


def wedge() -> trimesh.Trimesh:
    """Lopsided along every axis, so that a turn or a reflection shows."""
    mesh = trimesh.creation.box((1, 2, 3))
    mesh.vertices[mesh.vertices[:, 2] > 0] *= (0.5, 0.25, 1)
    return mesh


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(np.linalg.det(vertices[faces]).sum() / 6)


@pytest.mark.parametrize("suffix", ["glb", "gltf", "obj", "off", "ply", "stl"])
def test_a_mesh_is_read_from_every_format(suffix: str, tmp_path: Path) -> None:
    wanted = wedge()
    wanted.export(tmp_path / f"mesh.{suffix}") if suffix != "gltf" else trimesh.exchange.export.export_scene(
        wanted.scene(), tmp_path / "mesh.gltf", file_type="gltf"
    )
    got = read_mesh(tmp_path / f"mesh.{suffix}", up="y")
    assert np.allclose(got.corners.min((0, 1)), wanted.bounds[0], atol=1e-5)
    assert np.allclose(got.corners.max((0, 1)), wanted.bounds[1], atol=1e-5)
    assert volume(got.vertices, got.faces) == pytest.approx(wanted.volume, rel=1e-4)


@pytest.fixture
def _same_locale() -> Iterator[None]:
    """lib3mf's writer sets the locale C for the whole process, in which files would be read as ASCII from then on."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.mark.usefixtures("_same_locale")
def test_3mf_is_read_with_the_places_of_its_items(tmp_path: Path) -> None:
    lib3mf = pytest.importorskip("lib3mf", reason="lib3mf has no wheel for this machine")
    wrapper = lib3mf.get_wrapper()
    model = wrapper.CreateModel()
    body = model.AddMeshObject()
    wanted = wedge()
    points, triangles = [], []
    for vertex in wanted.vertices:
        point = lib3mf.Position()
        point.Coordinates = tuple(float(value) for value in vertex)
        points.append(point)
    for face in wanted.faces:
        triangle = lib3mf.Triangle()
        triangle.Indices = tuple(int(value) for value in face)
        triangles.append(triangle)
    body.SetGeometry(points, triangles)
    for offset in (0.0, 10.0):
        transform = wrapper.GetTranslationTransform(offset, 0.0, 0.0)
        model.AddBuildItem(body, transform)
    model.QueryWriter("3mf").WriteToFile(str(tmp_path / "two.3mf"))
    got = read_mesh(tmp_path / "two.3mf", up="y")
    assert len(got) == 2 * len(wanted.faces)
    assert np.ptp(got.vertices[:, 0]) == pytest.approx(11)
    assert volume(got.vertices, got.faces) == pytest.approx(2 * wanted.volume, rel=1e-4)


@pytest.mark.parametrize("suffix", ["vox", "npz"])
def test_voxels_that_we_wrote_come_back_the_same_way_up(suffix: str, tmp_path: Path) -> None:
    from formats import save

    cells = [[0, 0, 0], [0, 1, 0], [0, 2, 0], [1, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3]]
    ijk = np.array(sorted(cells), np.int16)
    voxels = Voxels(ijk, np.tile(np.array([0, 1, 0], np.float32), (len(ijk), 1)), 1 / 32)
    save(Shape(voxels, None, 0), tmp_path / f"shape.{suffix}")
    got = read_mesh(tmp_path / f"shape.{suffix}")
    assert np.ptp(got.vertices, axis=0).tolist() == [2, 3, 4]
    assert volume(got.vertices, got.faces) == pytest.approx(len(cells))
    corner = got.vertices[got.faces].mean(1)
    assert corner[:, 1].argmax() != corner[:, 2].argmax()
    low = got.vertices.min(0)
    tallest = corner[corner[:, 1] > low[1] + 2]
    assert tallest[:, 0].max() < low[0] + 1.01
    assert tallest[:, 2].max() < low[2] + 1.01


def test_z_is_up_where_a_format_says_so_and_may_be_told_otherwise(tmp_path: Path) -> None:
    tall = trimesh.creation.box((1, 1, 4))
    tall.export(tmp_path / "tall.stl")
    tall.export(tmp_path / "tall.obj")
    assert np.ptp(read_mesh(tmp_path / "tall.stl").vertices, axis=0).tolist() == [1, 4, 1]
    assert np.ptp(read_mesh(tmp_path / "tall.obj").vertices, axis=0).tolist() == [1, 1, 4]
    assert np.ptp(read_mesh(tmp_path / "tall.obj", up="z").vertices, axis=0).tolist() == [1, 4, 1]


@pytest.mark.parametrize("up", ["y", "z", "x", "-y", "-z", "-x"])
def test_a_mesh_is_turned_upright_and_never_reflected(up: str, tmp_path: Path) -> None:
    wanted = wedge()
    wanted.export(tmp_path / "mesh.obj")
    got = read_mesh(tmp_path / "mesh.obj", up=up)
    axis, sign = "xyz".index(up[-1]), -1 if up[0] == "-" else 1
    assert volume(got.vertices, got.faces) == pytest.approx(wanted.volume, rel=1e-4)
    assert got.vertices[:, 1].max() == pytest.approx((sign * wanted.vertices[:, axis]).max())


def damaged(path: Path) -> None:
    path.write_bytes(b"\x07 not what it should be")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_of_any_format_is_refused_in_a_sentence(suffix: str, tmp_path: Path) -> None:
    damaged(tmp_path / f"mesh{suffix}")
    with pytest.raises(MeshError, match=r"^(cannot be read|holds|is no VOX)"):
        read_mesh(tmp_path / f"mesh{suffix}")


def test_points_without_faces_are_refused_and_told_apart(tmp_path: Path) -> None:
    trimesh.PointCloud(np.random.default_rng(0).random((50, 3))).export(tmp_path / "cloud.ply")
    with pytest.raises(MeshError, match="has points or lines and no faces: make a surface of it first"):
        read_mesh(tmp_path / "cloud.ply")


@pytest.mark.parametrize(("format", "order"), [("binary_little_endian", "<"), ("binary_big_endian", ">")])
def test_faces_of_a_binary_ply_may_have_different_numbers_of_corners(format: str, order: str, tmp_path: Path) -> None:
    corners = np.array([(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0), (1, 1, 3)], f"{order}f4")
    faces = ((3, 2, 1, 0), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4))
    lists = b"".join(struct.pack(f"{order}fB{len(face)}i", 1.0, len(face), *face) for face in faces)
    head = (
        f"ply\nformat {format} 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 5\nproperty float quality\nproperty list uchar int vertex_indices\nend_header\n"
    )
    path = tmp_path / "pyramid.ply"
    path.write_bytes(head.encode() + corners.tobytes() + lists)
    mesh = read_mesh(path)
    assert len(mesh) == 6
    assert volume(mesh.vertices, mesh.faces) == pytest.approx(4)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(MeshError, match=r"cannot be read \(it is cut short\)"):
        read_mesh(path)


@pytest.mark.parametrize("first", range(6))
def test_a_notch_in_a_face_with_many_corners_stays_open(first: int, tmp_path: Path) -> None:
    outline = [(0, 0), (2, 0), (2, 0.5), (0.5, 0.5), (0.5, 2), (0, 2)]
    outline = outline[first:] + outline[:first]
    lines = [f"v {x} {y} {z}" for z in (0, 0.4) for x, y in outline]
    lines += ["f 6// 5// 4// \\", "3// 2// 1//", "f -6 -5 -4 -3 -2 -1"]
    lines += [f"f {k + 1} {(k + 1) % 6 + 1} {(k + 1) % 6 + 7} {k + 7}" for k in range(6)]
    (tmp_path / "bracket.obj").write_text("\n".join(lines) + "\n")
    mesh = read_mesh(tmp_path / "bracket.obj")
    corners = mesh.corners
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(2 * 1.75 + 0.4 * 8)
    assert volume(mesh.vertices, mesh.faces) == pytest.approx(0.4 * 1.75)


def test_a_face_that_crosses_itself_is_cut_somehow() -> None:
    star = [(np.cos(turn), np.sin(turn), 0.0) for turn in np.arange(5) * 4 * np.pi / 5]
    assert len(ears(star)) == 3


def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(tmp_path: Path) -> None:
    (tmp_path / "scene.blend").write_bytes(b"BLENDER")
    with pytest.raises(MeshError, match="use 3mf, glb, gltf, npz, obj, off, ply, stl, vox"):
        read_mesh(tmp_path / "scene.blend")
