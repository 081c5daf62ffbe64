"""The box around blocks, and what is too large for a format or has nothing in it."""

from __future__ import annotations

from formats.blocks import Blocks
from models.errors import ShapeError


class TooLargeError(ShapeError):
    """A shape is larger than its format can say; the text says what to do."""


def box(blocks: Blocks) -> tuple[list[int], list[int]]:
    """Lowest position and size of the box around blocks, by axis.

    Raises:
        ValueError: there is no block.
    """
    if not len(blocks):
        raise ValueError("the shape has no voxel: there is nothing to write")
    # One by one: along the first axis NumPy takes ten times as long.
    low = [int(axis.min()) for axis in blocks.position.T]
    return low, [int(axis.max()) - least + 1 for axis, least in zip(blocks.position.T, low, strict=True)]
