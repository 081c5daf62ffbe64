"""Joining keeps what lies outside of the box, takes what lies in it, and leaves no way in at the seam."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from models.joining import Box, joined
from models.shape import Voxels
from tests.support.solids import shell, sphere

SIDE = 32
UPPER = Box((-0.5, 0.0, -0.5), (0.5, 0.5, 0.5))


def ball(radius: float) -> Voxels:
    return shell(sphere(radius / SIDE), SIDE)


def cells(ijk: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, ijk.tolist()))


def inside(voxels: Voxels) -> set[tuple[int, ...]]:
    """What a shell encloses: no walk along the axes leads there from outside."""
    grid = np.zeros((SIDE + 2,) * 3, np.bool_)
    grid[tuple((voxels.ijk + SIDE // 2 + 1).T)] = True
    return cells(np.argwhere(binary_fill_holes(grid) & ~grid) - SIDE // 2 - 1)


@pytest.mark.parametrize(("old", "new"), [(12, 8), (8, 12), (10, 10), (12, 3)])
def test_half_of_another_shape_closes_over_half_of_one(old: int, new: int) -> None:
    kept, made = ball(old), ball(new)
    found = joined(kept, made, UPPER)
    in_box = UPPER.holds(found.ijk, found.voxel_size)
    was = UPPER.holds(kept.ijk, kept.voxel_size)
    assert np.array_equal(found.ijk[~in_box], kept.ijk[~was])
    assert np.array_equal(found.normal[~in_box], kept.normal[~was])
    assert cells(made.ijk[UPPER.holds(made.ijk, made.voxel_size)]) <= cells(found.ijk)
    below = {cell for cell in inside(kept) if cell[1] < 0}
    above = {cell for cell in inside(made) if cell[1] >= 0} - cells(found.ijk)
    assert below | above <= inside(found)
    assert len(cells(found.ijk)) == len(found)


def test_without_a_cap_such_a_seam_would_be_open() -> None:
    """What the test above looks for is there to be found."""
    kept, made = ball(12), ball(8)
    below, above = (~UPPER.holds(kept.ijk, 1 / SIDE), UPPER.holds(made.ijk, 1 / SIDE))
    ijk = np.concatenate([kept.ijk[below], made.ijk[above]])
    assert inside(Voxels(ijk, np.zeros((len(ijk), 3), np.float32), 1 / SIDE)) == set()


def test_a_cap_faces_the_air() -> None:
    found = joined(ball(12), ball(3), UPPER)
    floor = found.ijk[:, 1] == 0
    far = np.linalg.norm(found.ijk[:, [0, 2]] + 0.5, axis=1) > 5
    assert (found.normal[floor & far] == [0, 1, 0]).all()


def test_a_shape_joined_with_itself_is_itself() -> None:
    shape = ball(9)
    found = joined(shape, shape, Box((-0.2, -0.2, -0.2), (0.1, 0.3, 0.2)))
    assert np.array_equal(found.ijk, shape.ijk)
    assert np.array_equal(found.normal, shape.normal)


def test_cells_meet_a_box_where_one_of_their_voxels_is_in_it() -> None:
    box = Box((-0.11, 0.0, 0.02), (0.13, 0.02, 0.5))
    every = np.stack(np.meshgrid(*[np.arange(-4, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    voxels = np.stack(np.meshgrid(*[np.arange(-16, 16)] * 3, indexing="ij"), -1).reshape(-1, 3)
    wanted = cells(voxels[box.holds(voxels, 1 / 32)] // 4)
    assert cells(every[box.meets(every, 1 / 32, 4)]) == wanted
