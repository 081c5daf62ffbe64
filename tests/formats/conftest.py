from __future__ import annotations

import pytest

from models.shape import Shape, Voxels
from tests.support.solids import shell, sphere


@pytest.fixture(scope="session")
def ball() -> Voxels:
    """A ball of radius 0.4 at 64³."""
    return shell(sphere(0.4), 64)


@pytest.fixture(scope="session")
def result(ball: Voxels) -> Shape:
    """A ball as both stages, with a seed that no double holds."""
    return Shape(shell(sphere(0.4), 16), ball, seed=2**64 - 1)
