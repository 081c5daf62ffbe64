"""Distances between shapes are what their definitions say, and tell good from bad collections."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from training.closeness import DIAGONAL, cells, chamfer_distances, closeness, iou_distances, nearest

SIDE = 16


def blobs(seed: int, count: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [np.unique(random.integers(-SIDE // 2, SIDE // 2, (40, 3)), axis=0) for _ in range(count)]


def test_chamfer_distances_are_those_of_a_search_for_the_nearest_voxels() -> None:
    shapes = blobs(0, 4)
    found = chamfer_distances(cells(shapes, SIDE), SIDE)
    for row, a in enumerate(shapes):
        for column, b in enumerate(shapes):
            one, other = cKDTree(b).query(a)[0].mean(), cKDTree(a).query(b)[0].mean()
            assert found[row, column] == pytest.approx((one + other) / 2 / SIDE)


def test_iou_distances_are_those_of_sets() -> None:
    shapes = blobs(1, 3)
    sets = [set(map(tuple, shape.tolist())) for shape in shapes]
    found = iou_distances(cells(shapes, SIDE))
    for row, a in enumerate(sets):
        for column, b in enumerate(sets):
            assert found[row, column] == pytest.approx(1 - len(a & b) / len(a | b))


def test_an_empty_shape_is_as_far_away_as_can_be() -> None:
    nothing = np.zeros((0, 3), int)
    table = cells([*blobs(0, 1), nothing, nothing], SIDE)
    assert chamfer_distances(table, SIDE)[0, 1] == chamfer_distances(table, SIDE)[1, 2] == DIAGONAL
    assert iou_distances(table)[0, 1] == iou_distances(table)[1, 2] == 1


def test_one_shape_made_over_and_over_covers_little_and_is_told_apart() -> None:
    real = list(range(0, 100, 10))
    place = np.array([*real, *[52.0] * 10, *(x + 4.9 for x in real)])
    distances = np.abs(place[:, None] - place[None]).astype(float)
    heldout, collapsed, spread = range(10), range(10, 20), range(20, 30)
    poor, good = closeness(distances, collapsed, heldout), closeness(distances, spread, heldout)
    assert (poor.coverage, good.coverage) == (0.1, 1.0)
    assert poor.mmd > good.mmd == pytest.approx(4.9)
    assert poor.one_nn >= 0.9
    assert good.one_nn <= 0.1


def test_the_nearest_of_a_shape_is_never_itself() -> None:
    place = np.array([0.0, 1.0, 5.0])
    distances = np.abs(place[:, None] - place[None])
    assert nearest(distances, [0, 2], [0, 1, 2]) == [1, 1]
