"""Triangles become exactly the voxels that they pass through, with the normals of the surface."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from formats.meshes.voxelising import NUDGE, Triangles, coarsened, voxelise

Floats = NDArray[np.float64]


def clipped(polygon: list[Floats], low: Floats) -> list[Floats]:
    """A polygon's part in the unit cube at `low`, cut by one face of the cube after the other."""
    for axis in range(3):
        for sign, bound in ((1.0, low[axis]), (-1.0, -low[axis] - 1)):
            kept: list[Floats] = []
            for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True):
                da, db = sign * a[axis] - bound, sign * b[axis] - bound
                if da >= 0:
                    kept.append(a)
                if da * db < 0:
                    kept.append(a + (b - a) * (da / (da - db)))
            polygon = kept
            if not polygon:
                return []
    return polygon


def met(corners: Floats, resolution: int) -> set[tuple[int, ...]]:
    """All voxels that a triangle meets, tried one by one."""
    grid = corners * resolution + np.array((1, 0.7, 0.4)) * NUDGE
    half = resolution // 2
    cells = np.stack(np.meshgrid(*[np.arange(-half, half)] * 3, indexing="ij"), -1).reshape(-1, 3)
    near = (cells + 1 >= grid.min(0)).all(1) & (cells <= grid.max(0)).all(1)
    return {tuple(cell) for cell in cells[near].tolist() if clipped(list(grid), np.array(cell, float))}


@pytest.mark.parametrize("size", [0.02, 0.2, 1.5])
def test_a_triangle_becomes_just_the_voxels_that_hold_a_part_of_it(size: float) -> None:
    random = np.random.default_rng(round(size * 100))
    for _ in range(25):
        corners = random.uniform(-0.4, 0.4, 3) + size * random.uniform(-0.5, 0.5, (3, 3))
        got = {tuple(cell) for cell in voxelise(Triangles(corners[None]), 16).ijk.tolist()}
        assert got == met(corners, 16)


def test_a_flat_face_between_two_layers_of_voxels_becomes_one_layer() -> None:
    square = np.array(
        [[[0, -0.3, -0.3], [0, 0.3, -0.3], [0, 0.3, 0.3]], [[0, -0.3, -0.3], [0, 0.3, 0.3], [0, -0.3, 0.3]]]
    )
    assert set(voxelise(Triangles(square.astype(float)), 32).ijk[:, 0].tolist()) == {0}


def test_a_sphere_has_its_normals_and_no_hole_at_any_size() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    for resolution in (32, 128):
        shell = voxelise(Triangles(np.asarray(ball.triangles) * 0.45), resolution)
        outwards = shell.xyz / np.linalg.norm(shell.xyz, axis=1, keepdims=True)
        assert np.degrees(np.arccos((outwards * shell.normal).sum(1).clip(-1, 1))).max() < 60 / resolution + 4
        assert np.abs(np.linalg.norm(shell.xyz, axis=1) - 0.45).max() < 0.9 / resolution
        filled = np.zeros((resolution,) * 3, bool)
        filled[tuple((shell.ijk + resolution // 2).T)] = True
        from scipy import ndimage

        assert ndimage.label(~filled)[1] == 2


def test_a_thin_wall_keeps_the_normal_of_one_side() -> None:
    wall = trimesh.creation.box((0.8, 0.8, 0.002))
    shell = voxelise(Triangles(np.asarray(wall.triangles)), 64)
    inner = np.abs(shell.ijk[:, :2] + 0.5).max(1) < 20
    assert np.allclose(np.linalg.norm(shell.normal, axis=1), 1, atol=1e-5)
    assert np.abs(shell.normal[inner, 2]).min() > 0.99


def test_triangles_of_no_area_or_outside_of_the_cube_become_nothing() -> None:
    assert len(voxelise(Triangles(np.zeros((4, 3, 3))), 32)) == 0
    assert len(voxelise(Triangles(np.eye(3)[None] + 2), 32)) == 0


def test_coarse_voxels_are_those_that_hold_fine_ones_and_point_the_same_way() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    fine = voxelise(Triangles(np.asarray(ball.triangles) * 0.45), 128)
    coarse = coarsened(fine, 4)
    assert coarse.voxel_size == 1 / 32
    assert {tuple(c) for c in coarse.ijk.tolist()} == {tuple(c) for c in (fine.ijk // 4).tolist()}
    assert (np.diff((coarse.ijk + 16).astype(int) @ [1024, 32, 1]) > 0).all()
    outwards = coarse.xyz / np.linalg.norm(coarse.xyz, axis=1, keepdims=True)
    assert (outwards * coarse.normal).sum(1).min() > 0.95
