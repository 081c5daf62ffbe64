"""Shapes that strangers send: read onto the coarse grid, or refused in a sentence."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import get_args

import numpy as np
import pytest
import trimesh

from api.given_shape import FileKind
from formats import FORMATS, file_of
from formats.given import KINDS, MOST_UNPACKED, estimated_normals, from_file, from_points
from models.errors import MeshError
from models.shape import Shape, Voxels
from tests.support.solids import shell, sphere

RESOLUTION = 32
Cells = set[tuple[int, ...]]


def ball(radius: int, resolution: int = RESOLUTION) -> Voxels:
    return shell(sphere(radius / resolution), resolution)


def coarse() -> Voxels:
    """A shell that lies nowhere near the middle, so that a turn or a move shows."""
    found = ball(6)
    return Voxels((found.ijk + np.array([4, -6, 2])).astype(np.int16), found.normal, found.voxel_size)


def written(name: str, shape: Voxels) -> bytes:
    (format_,) = [format_ for format_ in FORMATS if format_.name == name]
    return file_of(format_, Shape(shape, None, 1), "0").content


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def cells(ijk: np.ndarray) -> Cells:
    return set(map(tuple, ijk.tolist()))


def test_points_of_an_answer_are_the_same_voxels_to_the_last_bit() -> None:
    shape = coarse()
    found = from_points(shape.xyz, shape.normal, RESOLUTION)
    assert np.array_equal(found.ijk, shape.ijk)
    assert np.array_equal(found.normal, shape.normal)


def test_points_of_a_finer_shape_are_the_voxels_that_hold_them() -> None:
    fine = ball(24, 4 * RESOLUTION)
    found = from_points(fine.xyz, fine.normal, RESOLUTION)
    assert cells(found.ijk) == cells(fine.ijk // 4)
    assert np.allclose(np.linalg.norm(found.normal, axis=1), 1, atol=1e-5)


def test_estimated_normals_point_outwards() -> None:
    shape = ball(10)
    assert (estimated_normals(shape.ijk.astype(np.int64)) * shape.normal).sum(1).min() > 0.8


@pytest.mark.parametrize("name", ["npz", "ply"])
def test_a_file_of_this_service_is_the_same_voxels(name: str) -> None:
    shape = coarse()
    found = from_file(written(name, shape), name, RESOLUTION)
    assert np.array_equal(found.ijk, shape.ijk)
    assert np.abs(found.normal - shape.normal).max() < 2e-3


def test_vox_of_this_service_has_the_same_voxels_in_the_middle() -> None:
    shape = coarse()
    found = from_file(written("vox", shape), "vox", RESOLUTION)
    assert cells(found.ijk) == cells(shape.ijk - shape.ijk.min(0) + found.ijk.min(0))
    assert np.abs(found.ijk.min(0) + found.ijk.max(0) + 1).max() <= 1


def test_a_vox_file_that_is_too_large_is_halved_until_it_fits() -> None:
    found = from_file(written("vox", ball(60, 128)), "vox", RESOLUTION)
    assert np.ptp(found.ijk, axis=0).max() + 1 in (30, 31)


@pytest.mark.parametrize("kind", ["glb", "obj", "stl", "off"])
def test_a_mesh_with_a_hole_becomes_a_shell(kind: str) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=3)
    mesh.faces = mesh.faces[5:]
    content = mesh.export(file_type=kind)
    found = from_file(content if isinstance(content, bytes) else content.encode(), kind, RESOLUTION)
    assert found.voxel_size == 1 / RESOLUTION
    assert np.linalg.norm(found.xyz, axis=1) == pytest.approx(0.45, abs=0.04)


def test_z_is_up_where_somebody_says_so() -> None:
    content = trimesh.creation.box((0.2, 0.3, 0.8)).export(file_type="obj").encode()
    tall = [int(np.ptp(from_file(content, "obj", RESOLUTION, up).ijk, axis=0).argmax()) for up in ("y", "z")]
    assert tall == [2, 1]


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xyz.npy", "w") as file:
        for _ in range(MOST_UNPACKED // 2**24 + 1):
            file.write(bytes(2**24))
    return buffer.getvalue()


def promise() -> bytes:
    """An array that says that it has a terabyte."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (40000000000, 3), }".ljust(117) + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xyz.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return buffer.getvalue()


PLY = b"".join(
    line + b"\n"
    for line in (
        b"ply", b"format binary_little_endian 1.0", b"element vertex 9", b"property float x", b"property float y",
        b"property float z", b"end_header",
    )
)  # fmt: skip
HOSTILE = {
    "no ZIP": ("npz", b"PK nothing", "no whole ZIP"),
    "ZIP bomb": ("npz", bomb(), "bytes unpacked"),
    "array that is not there": ("npz", promise(), "cannot be read"),
    "objects": ("npz", npz(xyz=np.array([{}], dtype=object)), "cannot be read"),
    "two numbers a point": ("npz", npz(xyz=np.zeros((3, 2))), "send points and normals as"),
    "NaN": ("npz", npz(xyz=np.full((1, 3), np.nan)), "no finite numbers"),
    "outside": ("npz", npz(xyz=np.full((1, 3), 0.6)), "outside of"),
    "empty": ("npz", npz(xyz=np.zeros((0, 3))), "no voxel"),
    "too few normals": ("npz", npz(xyz=np.zeros((2, 3)), normal=np.zeros((1, 3))), "2 points and 1 normals"),
    "no size": ("npz", npz(coarse_ijk=np.zeros((1, 3)), coarse_voxel_size=np.array(0.0)), "coarse_voxel_size"),
    "another array": ("npz", npz(colour=np.zeros(3)), "colour"),
    "no PLY": ("ply", b"no", "no PLY file"),
    "short PLY": ("ply", PLY + b"1234", "shorter than its header"),
    "lists in PLY": ("ply", PLY.replace(b"float z", b"list uchar int z"), "no numbers"),
    "flat PLY": ("ply", PLY.replace(b"float z", b"float w"), "without x, y and z"),
    "empty VOX": ("vox", b"VOX ", "no voxel"),
    "broken VOX": ("vox", b"VOX " + bytes(16) + b"SIZE" + bytes(9), "cannot be read"),
    "empty STL": ("stl", b"solid", "faces|read"),
    "GLB with other files": ("glb", b'glTF {"uri": "/etc/passwd"}', "names other files"),
    "no 3MF": ("3mf", b"PK", "no whole ZIP"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_hostile_or_broken_is_refused_in_a_sentence(case: str) -> None:
    kind, content, told = HOSTILE[case]
    with pytest.raises(MeshError, match=told):
        from_file(content, kind, RESOLUTION)


def test_the_service_offers_the_files_that_can_be_read() -> None:
    assert get_args(FileKind) == KINDS
