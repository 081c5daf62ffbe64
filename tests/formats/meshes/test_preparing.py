"""Meshes of strangers: each fault is repaired and told, or the mesh is refused with a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from formats.meshes import Mesh, Prepared, prepare
from models.errors import MeshError


def mesh_of(found: trimesh.Trimesh) -> Mesh:
    return Mesh(np.array(found.vertices, np.float64), np.array(found.faces, np.int64))


def ball(subdivisions: int = 3) -> Mesh:
    return mesh_of(trimesh.creation.icosphere(subdivisions=subdivisions))


def least_cosine(made: Prepared) -> float:
    """How far the worst normal of a ball is from pointing outwards."""
    xyz = made.fine.xyz
    return float((made.fine.normal * xyz / np.linalg.norm(xyz, axis=1, keepdims=True)).sum(1).min())


def same(one: Prepared, other: Prepared) -> bool:
    return bool(np.array_equal(one.fine.ijk, other.fine.ijk))


def test_a_sound_mesh_is_taken_without_a_word_and_fits_the_cube() -> None:
    made = prepare(ball())
    assert made.notes == ()
    assert least_cosine(made) > 0.99
    assert made.fine.ijk.min() == -58
    assert made.fine.ijk.max() == 57
    assert made.coarse.voxel_size == 1 / 32


def test_place_and_size_of_a_file_make_no_difference() -> None:
    plain, far = ball(), ball()
    other = prepare(Mesh(far.vertices * 5e6 + (3e6, 0, 1), far.faces))
    assert same(prepare(plain), other)
    assert prepare(plain).digest == other.digest
    assert "is 1e+07 units large, and was scaled like all others" in other.notes


def test_faces_turned_inwards_are_turned_outwards_some_or_all() -> None:
    mesh = ball()
    some = mesh.faces.copy()
    some[::3] = some[::3, ::-1]
    made = prepare(Mesh(mesh.vertices, some))
    assert least_cosine(made) > 0.99
    assert any("turned as their neighbours are" in note for note in made.notes)
    every = prepare(Mesh(mesh.vertices, mesh.faces[:, ::-1]))
    assert least_cosine(every) > 0.99
    assert every.notes == (f"{len(mesh):,} faces turned outwards",)


def test_a_small_hole_is_closed_and_a_cup_stays_open() -> None:
    mesh = ball(4)
    made = prepare(Mesh(mesh.vertices, np.delete(mesh.faces, 7, 0)))
    assert made.notes == ("1 small hole closed",)
    assert same(made, prepare(mesh))
    half = mesh.faces[mesh.vertices[mesh.faces].mean(1)[:, 1] < 0]
    cup = prepare(Mesh(mesh.vertices, half))
    assert any("an open surface, taken as it is" in note for note in cup.notes)
    middle = np.abs(cup.fine.ijk[:, [0, 2]] + 0.5).max(1) < 10
    assert cup.fine.ijk[middle, 1].max() < -20


def test_numbers_that_are_none_cost_only_their_faces() -> None:
    mesh = ball()
    vertices = mesh.vertices.copy()
    vertices[3] = np.nan
    made = prepare(Mesh(vertices, mesh.faces))
    assert any(note.endswith("with coordinates that are no numbers left out") for note in made.notes)
    assert least_cosine(made) > 0.9
    odd = prepare(Mesh(mesh.vertices, np.concatenate((mesh.faces, [[0, 1, 99_999], [5, 5, 6], mesh.faces[0]]))))
    assert odd.notes == (
        "1 face with vertices that are not there left out",
        "2 faces without area or there twice left out",
    )


@pytest.mark.parametrize(
    ("vertices", "faces", "sentence"),
    [
        (np.full((3, 3), np.nan), [[0, 1, 2]], "has no face whose coordinates are all numbers"),
        (np.ones((3, 3)), [[0, 1, 2]], "has no size"),
        (np.eye(3), [[0, 1, 1]], "has no face with an area"),
    ],
)
def test_a_mesh_without_a_surface_is_refused_in_a_sentence(
    vertices: np.ndarray, faces: list[list[int]], sentence: str
) -> None:
    with pytest.raises(MeshError, match=sentence):
        prepare(Mesh(vertices.astype(float), np.array(faces, np.int64)))


def test_what_nobody_sees_is_left_out_unless_it_is_asked_for() -> None:
    outer, inner = ball(), ball()
    both = Mesh(
        np.concatenate((outer.vertices, inner.vertices * 0.5)),
        np.concatenate((outer.faces, inner.faces + len(outer.vertices))),
    )
    assert same(prepare(both), prepare(outer))
    assert len(prepare(both, hidden=True).fine) > len(prepare(outer).fine)


@pytest.mark.parametrize("resolution", [64, 256])
def test_other_resolutions_keep_a_coarse_grid_of_a_quarter(resolution: int) -> None:
    made = prepare(ball(4), resolution)
    assert made.fine.voxel_size == 1 / resolution
    assert made.coarse.voxel_size == 4 / resolution
    assert least_cosine(made) > 0.99
