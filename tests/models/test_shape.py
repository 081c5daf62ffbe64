"""Voxels that travel between processes arrive as they were, and a shape knows its finest voxels."""

from __future__ import annotations

import numpy as np
import pytest

from models import Shape, Voxels

RANDOM = np.random.default_rng(0)
IJK = np.stack(np.unravel_index(np.arange(0, 343, 3), (7, 7, 7)), axis=1).astype(np.int16)
NORMAL = RANDOM.normal(size=IJK.shape).astype(np.float32)
EMPTY = Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / 32)


@pytest.mark.parametrize(
    ("ijk", "normal"),
    [
        (IJK, NORMAL),
        (np.asfortranarray(IJK), np.asfortranarray(NORMAL)),
        (IJK[::2], NORMAL[::2]),
        (IJK[::-1], NORMAL[:, ::-1]),
        (EMPTY.ijk, EMPTY.normal),
    ],
    ids=["plain", "Fortran order", "every other row", "backwards", "none"],
)
def test_voxels_survive_the_way_through_bytes_however_their_arrays_lie(ijk: np.ndarray, normal: np.ndarray) -> None:
    back = Voxels.from_bytes(Voxels(ijk, normal, 1 / 128).to_bytes())
    np.testing.assert_array_equal(back.ijk, ijk)
    np.testing.assert_array_equal(back.normal, normal)
    assert (back.ijk.dtype, back.normal.dtype, back.voxel_size) == (np.int16, np.float32, 1 / 128)


def test_the_finest_voxels_are_the_fine_ones_where_there_are_any() -> None:
    coarse, fine = Voxels(IJK, NORMAL, 1 / 32), Voxels(IJK, NORMAL, 1 / 128)
    assert Shape(coarse, fine, seed=1).finest is fine
    assert Shape(coarse, None, seed=1).finest is coarse
    assert Shape(coarse, EMPTY, seed=1).finest is coarse
