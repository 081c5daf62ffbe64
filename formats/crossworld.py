"""Octrees of the crossworld engine: text, CSM (cube script model), and bytes, BCF (binary cube format).

Both are described in the engine's repository (k0sti/crossworld, doc/architecture/voxel-system.md and bcf-format.md).
The four bytes of BCF's magic number stand in a file as the engine's reader wants them, lowest first, which is the other
way round than its description shows.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from formats.blocks import Blocks
from formats.box import TooLargeError
from formats.crossworld_materials import materials
from formats.octree import MIXED, Octree, octree

Integers = NDArray[np.int64]

_MAGIC, _VERSION = 0x42434631, 1
_HEADER = struct.Struct("<IB3xI")
_EXTENDED, _LEAVES, _POINTERS = 0x80, 0x90, 0xA0
_OCTANTS = "abcdefgh"
_DIGITS = np.array([list(f"{number:<3}".encode()) for number in range(256)], np.uint8)
_DIGITS_OF = np.array([len(str(number)) for number in range(256)])


def csm(blocks: Blocks) -> bytes:
    """The octree as text, one statement for each octant of the root that is not empty.

    Raises:
        ValueError: there is no block.
        TooLargeError: the blocks lie too far from each other or from the origin.
    """
    tree = octree(blocks, materials(blocks.palette))
    length = _text_lengths(tree)
    root = tree.levels[0][0]
    starts, at = [], 0
    for octant, value in enumerate(root):
        if value != 0:
            starts.append((octant, at + 3))
            at += 3 + int(length[0][0, octant]) + 1
    text = np.full(at, ord(" "), np.uint8)
    start = np.zeros((1, 8), np.int64)
    for octant, place in starts:
        text[place - 3 : place - 1] = ord(">"), ord(_OCTANTS[octant])
        text[place + length[0][0, octant]] = ord("\n")
        start[0, octant] = place
    shown = root[None] != 0
    for level, octants in enumerate(tree.levels):
        values = shown & (octants != MIXED)
        _write_numbers(text, start[values], octants[values])
        inner = octants == MIXED
        if level + 1 < len(tree.levels):
            opening = start[inner]
            text[opening] = ord("[")
            text[opening + length[level][inner] - 1] = ord("]")
            below = length[level + 1]
            start = opening[:, None] + 1 + np.arange(8) + np.cumsum(below, axis=1) - below
            shown = np.ones(start.shape, bool)
    return text.tobytes()


def _text_lengths(tree: Octree) -> list[Integers]:
    """Characters of each octant of each level: digits of a value, or brackets around eight with blanks between."""
    below = np.zeros(0, np.int64)
    lengths: list[Integers] = []
    for octants in reversed(tree.levels):
        length = _DIGITS_OF[octants]
        length[octants == MIXED] = below
        lengths.append(length)
        below = _sums(length) + 2 + 7
    return lengths[::-1]


def _write_numbers(text: NDArray[np.uint8], at: Integers, values: NDArray[np.int16]) -> None:
    """Writes numbers from 0 to 255 without leading zeros."""
    for digit in range(3):
        text[at + digit] = _DIGITS[values, digit]
        more = _DIGITS_OF[values] > digit + 1
        at, values = at[more], values[more]


def bcf(blocks: Blocks) -> bytes:
    """The octree as bytes, depth first, with pointers of one size: the smallest that reaches all of the file.

    Raises:
        ValueError: there is no block.
        TooLargeError: the blocks lie too far from each other or from the origin, or make more than 4 GiB.
    """
    tree = octree(blocks, materials(blocks.palette))
    divided = sum(int(np.count_nonzero(_any(octants == MIXED))) for octants in tree.levels)
    bare = _HEADER.size + int(_node_sizes(tree, 0)[0][0])
    for exponent in range(3):
        if bare + 8 * divided * (1 << exponent) <= 1 << (8 << exponent):
            return _write_nodes(tree, exponent)
    raise TooLargeError("A BCF file has at most 4 GiB: ask for a smaller size.")


def _node_sizes(tree: Octree, pointer: int) -> list[Integers]:
    """Bytes of each cube of each level with all that is in it, for pointers of some bytes."""
    below = np.zeros(0, np.int64)
    sizes: list[Integers] = []
    for octants in reversed(tree.levels):
        inner = _any(octants == MIXED)
        size = np.full(len(octants), 9)
        size[inner] = 1 + 8 * pointer + _sums(_octant_sizes(octants[inner], below))
        below = size
        sizes.append(size)
    return sizes[::-1]


def _octant_sizes(octants: NDArray[np.int16], below: Integers) -> Integers:
    """Bytes of each octant, where it is written as a node of its own; `below` has those of the MIXED ones."""
    each = np.where(octants > 127, 2, 1).astype(np.int64)
    each[octants == MIXED] = below
    return each


def _write_nodes(tree: Octree, exponent: int) -> bytes:
    pointer = 1 << exponent
    size = _node_sizes(tree, pointer)
    content = np.zeros(_HEADER.size + int(size[0][0]), np.uint8)
    content[: _HEADER.size] = np.frombuffer(_HEADER.pack(_MAGIC, _VERSION, _HEADER.size), np.uint8)
    start = np.array([_HEADER.size])
    for octants, below in zip(tree.levels, [*size[1:], np.zeros(0, np.int64)], strict=True):
        inner = _any(octants == MIXED)
        leaves = np.full((np.count_nonzero(~inner), 9), _LEAVES, np.uint8)
        leaves[:, 1:] = octants[~inner]
        content[start[~inner][:, None] + np.arange(9)] = leaves
        values = octants[inner]
        each = _octant_sizes(values, below)
        place = (start[inner] + 1 + 8 * pointer)[:, None] + np.cumsum(each, axis=1) - each
        node = np.full((len(place), 1 + 8 * pointer), _POINTERS | exponent, np.uint8)
        node[:, 1:] = place.astype(f"<u{pointer}").view(np.uint8)
        content[start[inner][:, None] + np.arange(1 + 8 * pointer)] = node
        low, high = (values >= 0) & (values < 128), values > 127
        content[place[low]] = values[low]
        content[place[high]] = _EXTENDED
        content[place[high] + 1] = values[high]
        start = place[values == MIXED]
    return content.tobytes()


def _any(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows of eight hold a True, as numbers of eight bytes: many times as fast as one by one."""
    found: NDArray[np.bool_] = mask.view(np.uint64)[:, 0] != 0
    return found


def _sums(rows: Integers) -> Integers:
    """Sums of rows of eight, which NumPy adds up row by row, slowly."""
    sums: Integers = np.einsum("ij->i", rows)
    return sums
