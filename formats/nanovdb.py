"""NanoVDB files: a sparse grid of floats, a fog that is 1 where a block is, for renderers and simulations.

A file is the memory of the grid (NanoVDB.h of OpenVDB, version 32 of the layout): header, tree, root, then the upper,
lower and leaf nodes, of 32³, 16³ and 8³ parts. Fields have the sizes that C++ gives them, with gaps for alignment.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from formats.blocks import Blocks
from formats.box import TooLargeError, box

Integers = NDArray[np.int64]

_MAGIC = int.from_bytes(b"NanoVDB0", "little")
_VERSION = 32 << 21 | 4 << 10 | 2
_FOG, _FLOAT = 2, 1
_NAME = b"density"
"""What programs look for in a fog."""
_ALL_STATISTICS = 2 | 4 | 8 | 16
_BREADTH_FIRST = 32
_ONES = (1.0, 1.0, 1.0, 0.0)
"""Minimum, maximum, mean and standard deviation of any part of the fog."""
_MOST_BYTES = 2**31
_LEAF = np.dtype(
    [("low", "<i4", 3), ("extent", "u1", 3), ("flags", "u1"), ("mask", "u1", 64), ("statistics", "<f4", 4),
     ("values", "<f4", 512)]
)  # fmt: skip


def _inner(log2: int) -> np.dtype[np.void]:
    parts = 1 << 3 * log2
    fields = [
        ("box", "<i4", (2, 3)), ("flags", "<u8"), ("values", "u1", parts // 8), ("children", "u1", parts // 8),
        ("statistics", "<f4", 4), ("gap", "V16"), ("table", "<i8", parts),
    ]  # fmt: skip
    return np.dtype(fields)


_LOWER, _UPPER = _inner(4), _inner(5)
_TILE = np.dtype([("key", "<u8"), ("child", "<i8"), ("state", "<u4"), ("value", "<f4"), ("gap", "V8")])
_ROOT = struct.Struct("<6iI5f16x")
_TREE = struct.Struct("<4Q3I3IQ")
_MAP = struct.Struct("<22f22d")
_GRID = struct.Struct("<QQIIIIQ256s264s6d3dIIqI4xQQ")
_FILE = struct.Struct("<QIHHQQQQII6d6i3dI4I3IHHI")


def nvdb(blocks: Blocks) -> bytes:
    """An uncompressed file of one grid, called density; a block fills the cell between its corners.

    Raises:
        ValueError: there is no block.
        TooLargeError: the file would have 2 GiB or more.
    """
    low, size = box(blocks)
    position = blocks.position.astype(np.int64)
    order = np.argsort(_path(position), kind="stable")
    position = position[order]
    path = _path(position)
    starts = [np.flatnonzero(np.diff(path >> bits, prepend=-1)) for bits in (9, 21, 36)]
    leaf_count, lower_count, upper_count = (len(start) for start in starts)
    root = _GRID.size + _TREE.size
    upper = root + _ROOT.size + upper_count * _TILE.itemsize
    lower = upper + upper_count * _UPPER.itemsize
    leaf = lower + lower_count * _LOWER.itemsize
    whole = leaf + leaf_count * _LEAF.itemsize
    if whole >= _MOST_BYTES:
        raise TooLargeError("a NanoVDB file of this shape would have 2 GiB or more: ask for a smaller size")

    leaves = _leaves(position, path, starts[0])
    lowers, uppers = _nodes(_LOWER, position, starts[1]), _nodes(_UPPER, position, starts[2])
    _link(lowers, starts[1], path[starts[0]] >> 9, starts[0], 12, leaf - lower, _LEAF.itemsize)
    _link(uppers, starts[2], path[starts[1]] >> 21, starts[1], 15, lower - upper, _LOWER.itemsize)
    tiles = np.zeros(upper_count, _TILE)
    tiles["key"] = _key(position[starts[2]])
    tiles["child"] = upper - root + np.arange(upper_count) * _UPPER.itemsize

    high = [least + side for least, side in zip(low, size, strict=True)]
    corners = (*low, *(most - 1 for most in high))
    world = [blocks.edge * bound for bound in (*low, *high)]
    counts = (leaf_count, lower_count, upper_count)
    tree = _TREE.pack(*(at - _GRID.size for at in (leaf, lower, upper, root)), *counts, 0, 0, 0, len(blocks))
    edges = (blocks.edge,) * 3
    grid = _GRID.pack(
        _MAGIC, 2**64 - 1, _VERSION, _ALL_STATISTICS | _BREADTH_FIRST, 0, 1, whole, _NAME, _map(blocks.edge), *world,
        *edges, _FOG, _FLOAT, 0, 0, 0, 0,
    )  # fmt: skip
    name = _NAME + b"\0"
    head = _FILE.pack(
        _MAGIC, _VERSION, 1, 0, whole, whole, _hash(_NAME), len(blocks), _FLOAT, _FOG, *world, *corners, *edges,
        len(name), *counts, 1, 0, 0, 0, 0, 0, _VERSION,
    )  # fmt: skip
    fixed = [head, name, grid, tree, _ROOT.pack(*corners, upper_count, 0.0, *_ONES)]
    return b"".join([*fixed, *(nodes.tobytes() for nodes in (tiles, uppers, lowers, leaves))])


def _path(position: Integers) -> Integers:
    """Number of the upper node by key, then the places in the upper, the lower and the leaf node: 15, 12 and 9 bits."""
    _, number = np.unique(_key(position), return_inverse=True)
    path = number.astype(np.int64)
    for bits, shift in ((5, 7), (4, 3), (3, 0)):
        x, y, z = (position >> shift & (1 << bits) - 1).T
        path = path << 3 * bits | x << 2 * bits | y << bits | z
    return path


def _key(position: Integers) -> NDArray[np.uint64]:
    """What the root knows an upper node by."""
    x, y, z = (position & 0xFFFF_FFFF).astype(np.uint64).T >> np.uint64(12)
    key: NDArray[np.uint64] = x << np.uint64(42) | y << np.uint64(21) | z
    return key


def _leaves(position: Integers, path: Integers, start: Integers) -> NDArray[np.void]:
    leaves = np.zeros(len(start), _LEAF)
    index = np.repeat(np.arange(len(start)), np.diff(start, append=len(path)))
    leaves["values"][index, path & 511] = 1.0
    leaves["mask"] = np.packbits(leaves["values"] > 0.0, axis=1, bitorder="little")
    low, high = _bounds(position, start)
    leaves["low"], leaves["extent"] = low, high - low
    leaves["flags"] = 2  # it has a box
    leaves["statistics"] = _ONES
    return leaves


def _nodes(kind: np.dtype[np.void], position: Integers, start: Integers) -> NDArray[np.void]:
    nodes = np.zeros(len(start), kind)
    nodes["box"] = np.stack(_bounds(position, start), axis=1)
    nodes["statistics"] = _ONES
    return nodes


def _bounds(position: Integers, start: Integers) -> tuple[Integers, Integers]:
    return np.minimum.reduceat(position, start), np.maximum.reduceat(position, start)


def _link(
    nodes: NDArray[np.void], start: Integers, child_path: Integers, child_start: Integers, bits: int,
    distance: int, child_bytes: int,
) -> None:  # fmt: skip
    """Tells nodes which children they have and how far away these are.

    Args:
        nodes: The parents, one after the other in the file as in memory.
        start: Their first voxels.
        child_path: Paths of the children, which lie one after the other too.
        child_start: Their first voxels.
        bits: How many of a path's lowest bits are the place in the parent.
        distance: Bytes from the first parent to the first child.
        child_bytes: Bytes of a child.
    """
    parent = np.searchsorted(start, child_start, side="right") - 1
    place = child_path & (1 << bits) - 1
    away = distance + np.arange(len(place)) * child_bytes - parent * nodes.dtype.itemsize
    nodes["table"][parent, place] = away
    there = np.zeros((len(nodes), 1 << bits), bool)
    there[parent, place] = True
    nodes["children"] = np.packbits(there, axis=1, bitorder="little")


def _map(edge: float) -> bytes:
    """From indices to the world: their centres, not their lowest corners, are at whole numbers."""
    matrix, inverse = np.eye(3) * edge, np.eye(3) / edge
    values = [*matrix.flat, *inverse.flat, *(edge / 2,) * 3, 1.0]
    return _MAP.pack(*values, *values)


def _hash(name: bytes) -> int:
    """The number that files are searched by: NanoVDB's own, of 64 bits."""
    value = 0
    for letter in name:
        value = (value * 67 + letter + (value >> 56)) % 2**64
    return value
