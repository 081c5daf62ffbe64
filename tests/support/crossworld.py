"""Readers of the crossworld engine's octrees, written from its documents alone (doc/architecture/), slow and plain."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

Cube = int | list[Any]
"""A material, or the eight octants of a cube: 4x + 2y + z."""


def read_csm(text: str) -> Cube:
    """The grammar without what copies and mirrors: Model = ('>' Octant+ Cube)+, Cube = Value | '[' Cube{8} ']'."""
    root: list[Any] = [0] * 8
    tokens = iter(re.findall(r"[\[\]]|>[a-h]+|\d+|\S", text))
    for token in tokens:
        assert re.fullmatch(r">[a-h]+", token), token
        *path, last = ("abcdefgh".index(letter) for letter in token[1:])
        at = root
        for octant in path:
            at = at[octant]
        at[last] = _cube(tokens)
    return root


def _cube(tokens: Iterator[str]) -> Cube:
    token = next(tokens)
    if token == "[":
        octants = [_cube(tokens) for _ in range(8)]
        assert next(tokens) == "]"
        return octants
    assert 0 <= int(token) <= 255
    return int(token)


def read_bcf(data: bytes) -> Cube:
    """The header's fields and the root's node; the magic number as the engine's reader takes it."""
    magic, version, reserved, root = struct.unpack("<IB3sI", data[:12])
    assert (magic, version, reserved) == (int.from_bytes(b"BCF1", "big"), 1, bytes(3))
    return _node(data, root)


def _node(data: bytes, at: int) -> Cube:
    kind = data[at]
    if kind < 0x80:
        return kind
    if kind == 0x80:
        assert data[at + 1] >= 128
        return data[at + 1]
    if kind == 0x90:
        return list(data[at + 1 : at + 9])
    size = {0xA0: 1, 0xA1: 2, 0xA2: 4}[kind]
    pointers = [data[at + 1 + i * size : at + 1 + (i + 1) * size] for i in range(8)]
    octants = [_node(data, int.from_bytes(pointer, "little")) for pointer in pointers]
    assert any(isinstance(octant, list) for octant in octants), "eight values need no pointers"
    return octants


def places(cube: Cube, side: int) -> dict[tuple[int, int, int], int]:
    """Materials by place from the root's lowest corner on, where there are some; `side` is the root's."""
    found = {}

    def visit(cube: Cube, x: int, y: int, z: int, side: int) -> None:
        if isinstance(cube, list):
            half = side // 2
            assert half > 0
            for octant, inner in enumerate(cube):
                visit(inner, x + (octant >> 2) * half, y + (octant >> 1 & 1) * half, z + (octant & 1) * half, half)
        elif cube:
            found.update({(x + i, y + j, z + k): cube for i in range(side) for j in range(side) for k in range(side)})

    visit(cube, 0, 0, 0, side)
    return found


def leaves(cube: Cube) -> int:
    return sum(leaves(octant) for octant in cube) if isinstance(cube, list) else 1
