"""How large the work for a file may be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.errors import ShapeError

MOST_VOXELS = 4_000_000
"""In a shape that options have made."""
MOST_CELLS = 150_000_000
"""Of a grid around a shape, solid or not, as a surface needs one: 531 along each side."""
MOST_RESIZED = 20_000_000
"""The same where `size` makes a shape finer than its models did: nobody needs more memory for that than half a GB."""


def check_count(voxels: int, option: str) -> None:
    """Lets pass a shape that an option has made.

    Raises:
        ShapeError: it has too many voxels.
    """
    if voxels > MOST_VOXELS:
        raise ShapeError(f"{option} makes {voxels:,} voxels of this shape, and {MOST_VOXELS:,} are the most: use less.")


def check_size(sides: NDArray[np.integer], size: int) -> None:
    """Lets pass a size for a shape with so many voxels along each axis, [3], where a grid around it is needed.

    Raises:
        ShapeError: the grid would have too many cells.
    """
    own, longest = int(np.prod(sides.astype(np.int64))), int(sides.max())
    most = max(own, MOST_RESIZED)
    if own * (size / longest) ** 3 > most:
        fit = int(longest * (most / own) ** (1 / 3))
        raise ShapeError(
            f"A surface or a fill of this shape with size={size} takes too much memory: use size={fit} or less."
        )


def check_cells(shape: NDArray[np.integer]) -> None:
    """Lets pass a grid of a shape, [3].

    Raises:
        ShapeError: it has too many cells.
    """
    cells = int(np.prod(shape.astype(np.int64)))
    if cells > MOST_CELLS:
        sides = " x ".join(str(side) for side in shape)
        raise ShapeError(f"A surface or a fill of {sides} voxels takes too much memory: use a smaller size.")
