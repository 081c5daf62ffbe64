"""Surface measures of shapes whose values are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.shape import Voxels
from training.shapes.sdf import Sdf, box, cylinder, sphere, torus, union
from training.shapes.voxelize import voxelize_solid
from training.surface import (
    LEAKING,
    Likeness,
    leak,
    likeness,
    mean_likeness,
    pieces,
    surface,
    thin_kept,
    thin_voxels,
)
from training.surface_table import Measured, row

BLOCK = box(0.3, 0.2, 0.25)


def fine(solid: Sdf) -> Voxels:
    made = voxelize_solid(solid)
    return Voxels(made.fine_ijk.numpy(), made.fine_normal.numpy(), 1 / 128)


def coarse(solid: Sdf) -> Voxels:
    made = voxelize_solid(solid)
    return Voxels(made.coarse_ijk.numpy(), made.coarse_normal.numpy(), 1 / 32)


def lumpy(amplitude: float) -> Sdf:
    """A block whose faces have bumps of that height in voxels, some eight voxels apart."""

    def distance(points: tuple[torch.Tensor, ...]) -> torch.Tensor:
        bumps = torch.stack([torch.sin(2 * math.pi * p * 16) for p in points]).sum(0)
        return BLOCK(points) + amplitude / 128 * bumps / 2  # type: ignore[arg-type]

    return Sdf(distance)


def field(solid: Sdf):  # type: ignore[no-untyped-def]
    return lambda points: solid(tuple(torch.from_numpy(points).T.contiguous())).numpy()  # type: ignore[arg-type]


def without(shape: Voxels, gone: np.ndarray) -> Voxels:
    return Voxels(shape.ijk[~gone], shape.normal[~gone], shape.voxel_size)


def test_faces_along_the_axes_are_flat_oblique_ones_nearly_and_lumpy_ones_are_not() -> None:
    assert surface(fine(BLOCK)).roughness == pytest.approx(0, abs=1e-6)
    assert 0.2 < surface(fine(BLOCK.turn("y", 20).turn("x", 30))).roughness < 0.5
    assert surface(fine(lumpy(3.0))).roughness > 0.6


def test_normals_off_by_an_angle_are_off_by_it_against_the_true_surface() -> None:
    shape = fine(BLOCK)
    tilted = shape.normal + math.tan(math.radians(20)) * np.roll(shape.normal, 1, axis=1)
    tilted /= np.linalg.norm(tilted, axis=1, keepdims=True)
    measured = likeness(shape, Voxels(shape.ijk, tilted, 1 / 128), shape, field(BLOCK))
    assert measured.normals == pytest.approx(20, abs=0.5)
    assert surface(Voxels(shape.ijk, tilted, 1 / 128)).normals == pytest.approx(20, abs=0.5)


def test_the_true_shape_is_like_itself_and_one_moved_by_a_voxel_is_a_voxel_away() -> None:
    shape = fine(BLOCK)
    same = likeness(shape, shape, shape, field(BLOCK))
    assert same.iou == 1
    assert same.normals < 1
    moved = Voxels((shape.ijk + np.array([0, 2, 0])).astype(np.int16), shape.normal, 1 / 128)
    assert likeness(shape, moved, shape, field(BLOCK)).iou < 0.8
    top = shape.normal[:, 1] > 0.99
    only = Voxels(moved.ijk[top], moved.normal[top], 1 / 128)
    assert likeness(shape, only, shape, field(BLOCK)).distance == pytest.approx(2, abs=0.6)


def test_a_window_in_a_wall_is_a_hole_and_thin_walls_are_none() -> None:
    whole = fine(BLOCK)
    assert leak(whole) < 0.001
    gone = (whole.normal[:, 0] > 0.9) & (np.abs(whole.ijk[:, 1:]) < 3).all(1)
    assert 0 < gone.sum() < 40
    assert leak(without(whole, gone)) > 0.9
    assert leak(fine(box(0.3, 0.02, 0.3))) < LEAKING


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    two = union(sphere(0.1).at(x=-0.2), sphere(0.1).at(x=0.2))
    assert pieces(fine(two)) == 2
    corner = Voxels(np.array([[0, 0, 0], [1, 1, 1]], np.int16), np.eye(3, dtype=np.float32)[:2], 1 / 128)
    assert pieces(corner) == 1


def test_a_pole_is_thin_and_the_blocks_that_it_joins_are_not() -> None:
    blocks = union(box(0.15, 0.1, 0.15).at(y=0.3), box(0.15, 0.1, 0.15).at(y=-0.3))
    shape = fine(blocks | cylinder(0.022, 0.3))
    thin = thin_voxels(shape)
    middle = np.abs(shape.ijk[:, 1]) < 15
    assert thin[middle].mean() > 0.95
    assert thin[np.abs(shape.ijk[:, 1]) > 30].mean() < 0.01


@pytest.mark.parametrize("level", [fine, coarse])
def test_thin_parts_kept_is_the_share_of_the_pole_that_is_left(level) -> None:  # type: ignore[no-untyped-def]
    blocks = union(box(0.15, 0.1, 0.15).at(y=0.3), box(0.15, 0.1, 0.15).at(y=-0.3))
    solid = blocks | cylinder(0.022, 0.3)
    truth, shape = fine(solid), level(solid)
    assert thin_kept(truth, shape) == pytest.approx(1, abs=0.01)
    height = np.abs(shape.ijk[:, 1] + 0.5) * shape.voxel_size
    assert thin_kept(truth, without(shape, height < 0.1)) == pytest.approx(0.5, abs=0.15)
    assert thin_kept(truth, level(blocks)) < 0.2
    assert thin_kept(fine(BLOCK), shape) is None


def test_means_leave_out_what_shapes_do_not_have() -> None:
    mean = mean_likeness([Likeness(1.0, None, 2.0, 0.0), Likeness(0.5, 0.8, 4.0, 1.0)])
    assert mean == {"iou": 0.75, "thin": 0.8, "normals": 3.0, "distance": 0.5}


def test_a_row_tells_roughness_of_planar_shapes_alone() -> None:
    rough = Measured("torus", False, surface(fine(torus(0.2, 0.1))))
    assert row("x", [rough]).split()[2] == "-"
    assert row("x", [rough, Measured("cube", True, surface(fine(BLOCK)))]).split()[2] == "0.00"
