"""Figures that tell copies from new shapes have the values that their definitions give."""

from __future__ import annotations

import numpy as np
import pytest

from models.shape import Voxels
from training.evaluation.novelty import above, nearest_iou, spreads

SIDE = 8


def shape(*cells: tuple[int, int, int]) -> Voxels:
    ijk = np.array(sorted(cells), np.int16)
    return Voxels(ijk, np.tile(np.float32([0, 1, 0]), (len(ijk), 1)), 1 / SIDE)


def block(at: int, size: int = 2) -> Voxels:
    return shape(*((at + i, j, k) for i in range(size) for j in range(size) for k in range(size)))


def test_the_chance_to_be_above_counts_ties_half() -> None:
    assert above(np.array([2.0]), np.array([1.0, 2.0, 3.0, 4.0])) == 1.5 / 4
    assert above(np.array([1.0, 1.0]), np.array([1.0])) == 0.5


def test_the_most_similar_training_shape_gives_the_figure() -> None:
    two, three = shape((0, 0, 0), (0, 0, 1)), shape((0, 0, 0), (0, 0, 1), (0, 0, 2))
    found = nearest_iou([two.ijk, block(-4).ijk], [three.ijk, shape((0, 0, 1)).ijk], SIDE)
    assert found == pytest.approx([2 / 3, 0])


def test_copies_of_training_shapes_are_told_from_new_ones() -> None:
    training = [block(-3), block(1)]
    heldout = [block(-2), block(0)]
    found = spreads(
        {"copies": training, "true": heldout}, {"copies": [(block(0), block(0))]}, heldout, training, SIDE
    )  # fmt: skip
    copies, true = found["copies"], found["true"]
    # Blocks of two cells a side that are shifted by one share half, which is a third of both together.
    assert (copies.training_iou, true.training_iou) == pytest.approx((1, 1 / 3))
    assert (copies.copied, true.copied) == (1, 0.5)
    assert copies.variety == 0
    assert np.isnan(true.variety)
    assert true.chamfer.mmd == 0
    assert true.chamfer.coverage == 1
    assert copies.chamfer.mmd > 0
