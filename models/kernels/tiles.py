"""How products are divided among programs. No choice here changes a bit: each is one H100's best of those tried."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import torch

SMALL, LARGE = 64, 128
"""Sides of tiles. Small ones keep more multiprocessors busy, large ones read less."""
MULTIPROCESSORS = 132
ENOUGH, BUSY = 96, 240
"""Large tiles from which on they do more than twice as many small ones, and from which on they keep a GPU busy."""
MANY = 16_384
"""Rows from which on high tiles do more, however few columns there are."""
ROOMY = 160 * 1024


class Tiles(NamedTuple):
    """How a product is divided among programs; no choice here changes a bit."""

    rows: int
    columns: int
    warps: int
    stages: int
    apart: bool
    """Whether each part has a program of its own."""


def size_class(rows: int) -> int:
    """The power of two that so many rows fit in: all that a choice of kernels may know of their number.

    So there are few kernels for each layer, and all of them can be compiled before anybody waits for one.
    """
    return 1 << (rows - 1).bit_length()


def parts_of(sample_rows: int, columns: int, choices: Iterable[int], programs: int) -> int:
    """Into how many parts a sum is divided: so many that one sample makes a number of programs, as far as it goes.

    sample_rows: rows of one sample; two of them make the smallest batch with guidance. choices: ascending.
    """
    tiles = _programs(2 * size_class(sample_rows), SMALL, columns, SMALL)
    parts = 1
    for parts in choices:
        if tiles * parts >= programs:
            break
    return parts


def product_tiles(rows: int, columns: int, length: int, parts: int) -> Tiles:
    """For a product whose sums have so many terms."""
    rows, short = size_class(rows), length <= LARGE
    if parts > 1 or columns <= SMALL // 2:
        return _small(rows, columns, parts, short)
    if columns <= SMALL:
        high = rows >= MANY and length > SMALL
        return Tiles(LARGE, SMALL, 4, 3, apart=False) if high else _small(rows, columns, parts, short)
    programs = _programs(rows, LARGE, columns, LARGE)
    if programs >= BUSY or (programs >= ENOUGH and not short):
        return Tiles(LARGE, LARGE, 8, 3, apart=False)
    if _programs(rows, SMALL, columns, LARGE) >= ENOUGH and not short:
        return Tiles(SMALL, LARGE, 4, 3, apart=False)
    return _small(rows, columns, parts, short)


def gated_tiles(rows: int, columns: int, length: int) -> Tiles:
    """For two products with so many columns each, of which one gates the other."""
    rows, width = size_class(rows), _width(columns)
    if length <= LARGE or _programs(rows, LARGE, columns, SMALL) < BUSY:
        return Tiles(SMALL, width, 4, 2, apart=False)
    return Tiles(LARGE, width, 4, 3, apart=False)


def gather_tiles(rows: int, columns: int, parts: int) -> Tiles:
    """For a convolution of rows that a table finds."""
    rows, stages, apart = size_class(rows), (5 if _roomy() else 4), parts > 1
    if columns <= SMALL:
        high = columns > SMALL // 2 and _programs(rows, LARGE, columns, SMALL) * parts >= BUSY
        return Tiles(LARGE, SMALL, 4, stages, apart) if high else _small(rows, columns, parts)
    if _programs(rows, LARGE, columns, LARGE) * parts >= BUSY:
        return Tiles(LARGE, LARGE, 8, 3, apart)
    if _programs(rows, SMALL, columns, LARGE) * parts >= ENOUGH:
        return Tiles(SMALL, LARGE, 4, stages, apart)
    return _small(rows, columns, parts)


def cube_tiles(rows: int, columns: int, parts: int) -> Tiles:
    """For a convolution of full cubes."""
    rows, apart = size_class(rows), parts > 1
    if columns < LARGE:
        return _small(rows, columns, parts)
    if rows <= LARGE:
        return Tiles(SMALL, LARGE, 4, 4, apart)
    wide = columns % (2 * LARGE) == 0 and _programs(rows, LARGE, columns, 2 * LARGE) * parts >= BUSY
    if wide and _roomy():
        return Tiles(LARGE, 2 * LARGE, 8, 3, apart)
    alone = _programs(rows, LARGE, columns, LARGE) * parts <= MULTIPROCESSORS
    return Tiles(LARGE, LARGE, 8, 4 if alone and _roomy() else 3, apart)


def exact_tiles(rows: int, columns: int, length: int, apart: bool) -> Tiles:
    """For a convolution of float32 that adds so many channels a neighbour."""
    rows, width = size_class(rows), _width(columns)
    few = _programs(rows, LARGE, columns, width) < 2 * MULTIPROCESSORS
    if few or (width == SMALL // 2 and length >= SMALL):
        return Tiles(SMALL, width, 4, 2, apart)
    if columns == SMALL:
        return Tiles(LARGE, SMALL, 8, 2, apart)
    return Tiles(LARGE, width, 4, 3 if _roomy() else 2, apart)


def _small(rows: int, columns: int, parts: int, short: bool = False) -> Tiles:
    if parts > 1 and SMALL < rows <= LARGE:
        return Tiles(LARGE, _width(columns), 4, 4, apart=True)
    return Tiles(SMALL, _width(columns), 4, 2 if short else 5, parts > 1)


def _width(columns: int) -> int:
    return min(SMALL, max(16, size_class(columns)))


def _programs(rows: int, height: int, columns: int, width: int) -> int:
    return -(-rows // height) * -(-columns // width)


@lru_cache
def _roomy() -> bool:
    """Whether a multiprocessor's shared memory holds many stages: 160 KiB or more, as that of an A100 or H100."""
    if not torch.cuda.is_available():
        return True
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return int(getattr(properties, "shared_memory_per_block_optin", 0)) >= ROOMY
