"""The faces of blocks that can be seen, merged to rectangles of one kind of block.

Faces of a plane are first joined to strips along one axis, then strips of the same ends along the other. That is not
always the least number of rectangles, but it takes two sorts and no loop over faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from formats.blocks import Blocks
from formats.box import box

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Rectangles:
    """Q rectangles that face one way.

    Attributes:
        axis: The axis across them, 0 to 2.
        outwards: 1 if they face along the axis, -1 against it.
        corners: int64 [Q, 4, 3], counter-clockwise as seen from outside, in edges of a block.
        block: Entry of the palette, uint8 [Q].
    """

    axis: int
    outwards: int
    corners: Integers
    block: NDArray[np.uint8]


def rectangles(blocks: Blocks) -> list[Rectangles]:
    """What can be seen of blocks from outside or inside, in six directions.

    Raises:
        ValueError: there is no block.
    """
    low, size = box(blocks)
    position = (blocks.position - np.array(low, np.int32)).astype(np.int64)
    return [
        _merged(position[seen], blocks.block[seen], axis, outwards, np.array(low), size)
        for axis in range(3)
        for outwards, seen in _seen(position, axis, size)
    ]


def _seen(position: Integers, axis: int, size: list[int]) -> Iterator[tuple[int, Integers]]:
    """Blocks [n] without a neighbour along the axis, and against it."""
    u, v = (axis + 1) % 3, (axis + 2) % 3
    # One more than the size, or else the last block of a row would be the neighbour of the next row's first.
    key = (position[:, u] * size[v] + position[:, v]) * (size[axis] + 1) + position[:, axis]
    order = np.argsort(key)
    gap = np.diff(key[order], prepend=-2, append=key.max() + 2) != 1
    yield 1, order[gap[1:]]
    yield -1, order[gap[:-1]]


def _merged(
    position: Integers, block: NDArray[np.uint8], axis: int, outwards: int, low: Integers, size: list[int]
) -> Rectangles:
    u, v = (axis + 1) % 3, (axis + 2) % 3
    plane, at_u, at_v = position[:, axis], position[:, u], position[:, v]
    order, first = _runs((plane * size[u] + at_u) * (size[v] + 1) + at_v, block)
    long = np.diff(first, append=len(order))
    strip = order[first]
    plane, at_u, at_v, block = plane[strip], at_u[strip], at_v[strip], block[strip]
    order, first = _runs((plane * size[v] + at_v) * (size[u] + 1) + at_u, block, long)
    wide = np.diff(first, append=len(order))
    start = order[first]
    long = long[start]
    corners = np.empty((len(start), 4, 3), np.int64)
    corners[:, :, axis] = (plane[start] + (outwards > 0))[:, None]
    corners[:, :, u] = at_u[start, None] + wide[:, None] * np.array([0, 1, 1, 0])
    corners[:, :, v] = at_v[start, None] + long[:, None] * np.array([0, 0, 1, 1])
    if outwards < 0:
        corners = corners[:, ::-1]
    return Rectangles(axis, outwards, corners + low, block[start])


def _runs(key: Integers, *alike: NDArray[np.integer]) -> tuple[Integers, Integers]:
    """The order of the keys, and where in it runs begin: of keys one after the other, with equal values besides."""
    order = np.argsort(key)
    new = np.diff(key[order], prepend=-2) != 1
    for values in alike:
        there = values[order]
        new[1:] |= there[1:] != there[:-1]
    return order, np.flatnonzero(new)
