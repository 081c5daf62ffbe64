from __future__ import annotations

import numpy as np
import pytest
import trimesh

from formats import surface
from models.shape import Voxels
from tests.support.solids import Distance, box, shell, sphere, torus


def mesh(voxels: Voxels) -> trimesh.Trimesh:
    made = surface(voxels)
    return trimesh.Trimesh(made.vertices, made.faces, vertex_normals=made.normals, process=False)


def true_normals(distance: Distance, at: np.ndarray) -> np.ndarray:
    gradient = np.stack([distance(at + 1e-4 * e) - distance(at - 1e-4 * e) for e in np.eye(3)], axis=1)
    return gradient / np.linalg.norm(gradient, axis=1, keepdims=True).clip(1e-9)


@pytest.mark.parametrize(
    ("distance", "resolution", "volume", "euler"),
    [
        (sphere(0.4), 64, 4 / 3 * np.pi * 0.4**3, 2),
        (box((0.3, 0.2, 0.35)), 128, 0.6 * 0.4 * 0.7, 2),
        (torus(0.3, 0.1), 128, 2 * np.pi**2 * 0.3 * 0.1**2, 0),
        (box((0.4, 0.02, 0.3)), 128, 0.8 * 0.04 * 0.6, 2),
    ],
    ids=["sphere", "box", "torus", "plate"],
)
def test_a_closed_shape_gets_a_watertight_surface_of_its_volume_and_genus(
    distance: Distance, resolution: int, volume: float, euler: int
) -> None:
    made = mesh(shell(distance, resolution))
    assert made.is_watertight
    assert made.is_winding_consistent
    assert made.volume == pytest.approx(volume, rel=0.03)
    assert made.euler_number == euler


@pytest.mark.parametrize(
    ("distance", "largest", "mean"), [(sphere(0.4), 3.0, 1.0), (torus(0.3, 0.1), 3.0, 1.0)], ids=["sphere", "torus"]
)
def test_a_smooth_surface_lies_where_the_shape_is_and_faces_as_it_does(
    distance: Distance, largest: float, mean: float
) -> None:
    voxels = shell(distance, 128)
    made = surface(voxels)
    away = np.abs(distance(made.vertices.astype(np.float64))) / voxels.voxel_size
    assert away.mean() < 0.1
    assert away.max() < 1.0
    angle = np.degrees(np.arccos((true_normals(distance, made.vertices) * made.normals).sum(axis=1).clip(-1, 1)))
    assert angle.mean() < mean
    assert np.percentile(angle, 99) < largest
    np.testing.assert_allclose(np.linalg.norm(made.normals, axis=1), 1.0, atol=1e-5)


def test_a_shell_with_holes_and_noise_is_closed_around_its_inside(ball: Voxels) -> None:
    generator = np.random.default_rng(0)
    kept = generator.random(len(ball)) > 0.05
    noisy = ball.normal + generator.normal(0.0, 0.2, ball.normal.shape)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    made = mesh(Voxels(ball.ijk[kept], noisy[kept].astype(np.float32), ball.voxel_size))
    assert made.is_watertight
    assert made.volume == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.05)


def test_an_open_sheet_becomes_a_thin_slab(ball: Voxels) -> None:
    upper = ball.ijk[:, 1] >= 0
    made = mesh(Voxels(ball.ijk[upper], ball.normal[upper], ball.voxel_size))
    assert made.is_watertight
    area = 2 * np.pi * 0.4**2
    assert 0.5 < made.volume / (area * ball.voxel_size) < 3.0


@pytest.mark.parametrize("seed", range(20))
def test_any_voxels_give_a_watertight_surface_around_them(seed: int) -> None:
    generator = np.random.default_rng(seed)
    ijk = np.unique(generator.integers(-8, 8, (generator.integers(1, 400), 3)), axis=0)
    normal = generator.normal(size=ijk.shape)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    made = mesh(Voxels(ijk.astype(np.int16), normal.astype(np.float32), 1 / 16))
    assert made.is_watertight
    assert made.is_winding_consistent
    assert made.volume > 0
    assert np.isfinite(made.vertex_normals).all()


def test_one_voxel_at_the_far_corner_of_an_official_grid_is_a_small_closed_body() -> None:
    corner = Voxels(np.full((1, 3), -256, np.int16), np.array([[0, 1, 0]], np.float32), 1 / 512)
    made = mesh(corner)
    assert made.is_watertight
    np.testing.assert_allclose(made.bounds.mean(axis=0), corner.xyz[0], atol=1.5 / 512)
    assert (made.extents < 6 / 512).all()


def test_no_voxels_give_no_triangles() -> None:
    made = surface(Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / 32))
    assert (len(made.vertices), len(made.normals), len(made.faces)) == (0, 0, 0)
