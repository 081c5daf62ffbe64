"""Blocks as an octree of materials, the way the crossworld engine keeps its cubes: octant = 4x + 2y + z.

The tree is built from the finest level up, a level being arrays: for every cube that is not of one material, the
values of its eight octants. A solid cube of one material is one leaf, however large; material 0 is empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from formats.blocks import Blocks
from formats.box import TooLargeError, box

MIXED = -1
"""Value of an octant that is divided further."""
_DEEPEST = 16


@dataclass(frozen=True)
class Octree:
    """Cubes by level, the root's first.

    levels: of each level the values int16 [n, 8] of the divided cubes' octants, in depth-first order within the level,
    so that the cubes of the next level are the MIXED octants of this one, in their order. The first level has one cube.
    """

    levels: tuple[NDArray[np.int16], ...]

    @property
    def depth(self) -> int:
        """Halvings from the root to the finest octants: the root has 2**depth places a side, or more."""
        return len(self.levels)


def octree(blocks: Blocks, material: NDArray[np.uint8]) -> Octree:
    """The tree of blocks, each of the material of its palette entry, uint8 [palette].

    The root has its lowest corner at the origin if no position is negative; otherwise it is centred on the origin. It
    is as wide as one unit of the world, or twice as wide until it holds all blocks and a whole number of halvings, so
    that the coarse and the fine blocks of a shape have the same root. It is divided at least once.

    Raises:
        ValueError: there is no block, or a material is 0, which means empty.
        TooLargeError: the tree would be deeper than 16 levels.
    """
    low, size = box(blocks)
    if not material.all():
        raise ValueError("material 0 is empty space: a block needs another one")
    high = [least + side for least, side in zip(low, size, strict=True)]
    centred = min(low) < 0
    half = max(max(high), -min(low)) if centred else max(high)
    depth = max(1, (half - 1).bit_length() + centred, math.ceil(math.log2(1 / blocks.edge) - 1e-6))
    if depth > _DEEPEST:
        raise TooLargeError(f"An octree holds at most {2**_DEEPEST:,} places a side: ask for a smaller size.")
    moved = blocks.position + np.int32((1 << (depth - 1)) if centred else 0)
    code = _morton(moved, depth)
    order = np.argsort(code, kind="stable")
    code, value = code[order], material[blocks.block[order]].astype(np.int16)
    levels: list[NDArray[np.int16]] = []
    for level in range(depth):
        parent = code >> 3
        first = np.flatnonzero(np.diff(parent, prepend=-1))
        octants = np.zeros((len(first), 8), np.int16)
        octants[np.repeat(np.arange(len(first)), np.diff(first, append=len(code))), code & 7] = value
        one = _alike(octants) & (octants[:, 0] != MIXED) & (level < depth - 1)
        levels.append(octants[~one])
        code, value = parent[first], np.where(one, octants[:, 0], np.int16(MIXED))
    levels = [octants for octants in reversed(levels) if len(octants)]
    return Octree(tuple(levels))


def _alike(octants: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which rows of eight have one value, as two numbers of four values each: six times as fast as value by value."""
    pattern = octants[:, 0].view(np.uint16).astype(np.uint64) * np.uint64(0x0001_0001_0001_0001)
    halves = octants.view(np.uint64)
    same: NDArray[np.bool_] = (halves[:, 0] == pattern) & (halves[:, 1] == pattern)
    return same


def _morton(position: NDArray[np.int32], depth: int) -> NDArray[np.int64]:
    """Paths from the root, three bits a level, the first level highest: x, y, z."""
    code = np.zeros(len(position), np.int64)
    x, y, z = position.astype(np.int64).T
    for bit in range(depth):
        code |= ((x >> bit & 1) << 2 | (y >> bit & 1) << 1 | (z >> bit & 1)) << (3 * bit)
    return code
