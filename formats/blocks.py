"""A shape as a voxel world has it: places in a grid, each with a block of a palette."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Block:
    """One entry of a palette.

    name: what a voxel world calls it, such as `minecraft:oak_planks`. colour: red, green and blue in sRGB, 0 to 255.
    """

    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Blocks:
    """N places in a grid, each with a block; `len(blocks)` is N.

    position: int32 [N, 3], distinct, in the frame and from the origin that the file's format wants: a writer turns and
    moves nothing. block: uint8 [N], the entry of `palette` at each place. palette: 1 to 255 entries. edge: length of
    a place's edge in the unit of the file: world units or metres, of which a shape is at most 1 long, or millimetres.
    """

    position: NDArray[np.int32]
    block: NDArray[np.uint8]
    palette: tuple[Block, ...]
    edge: float

    def __len__(self) -> int:
        return len(self.position)
