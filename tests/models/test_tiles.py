"""How products are divided among the programs of a GPU; needs neither Triton nor a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.kernels import tiles
from models.kernels.tiles import Tiles, cube_tiles, exact_tiles, gated_tiles, gather_tiles, parts_of, product_tiles

SIZES = (8, 64, 128, 500, 1024, 4096, 13_312, 46_080, 262_144, 1_500_000)
COLUMNS = (8, 16, 24, 64, 96, 128, 256, 384, 512, 1024)
HOPPER, CONSUMER = 227, 99
"""KiB of shared memory that one program may take."""


def kibibytes(shape: Tiles, matrices: int = 1, halves: int = 1) -> float:
    """What the stages of a product hold: 64 terms of a tile's rows, and of its columns in so many matrices."""
    return shape.stages * (shape.rows + matrices * shape.columns) * 64 * 2 * halves / 1024


def choices(rows: int, columns: int) -> Iterator[tuple[Tiles, float]]:
    for parts in (1, 3, 9):
        for shape in (cube_tiles(rows, columns, parts), gather_tiles(rows, columns, parts)):
            yield shape, kibibytes(shape)
    for length in (16, 64, 128, 256, 1024):
        for parts in (1, 2, 8):
            yield (shape := product_tiles(rows, columns, length, parts)), kibibytes(shape)
        yield (shape := gated_tiles(rows, columns, length)), kibibytes(shape, matrices=2)
        yield (shape := exact_tiles(rows, columns, length, apart=False)), kibibytes(shape, halves=2)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize(("roomy", "most"), [(True, HOPPER), (False, CONSUMER)])
def test_no_choice_needs_more_shared_memory_than_the_card_has(
    monkeypatch: pytest.MonkeyPatch, rows: int, roomy: bool, most: int
) -> None:
    monkeypatch.setattr(tiles, "_roomy", lambda: roomy)
    for columns in COLUMNS:
        for shape, taken in choices(rows, columns):
            assert taken <= most, shape


@pytest.mark.parametrize("rows", SIZES)
def test_programs_take_as_many_rows_as_a_sample_in_fixed_memory_can_be_divided_by(rows: int) -> None:
    """Room of a sample is a multiple of 128 where samples share memory, and no tile may reach into the next one."""
    for columns in COLUMNS:
        assert {shape.rows for shape, _ in choices(rows, columns)} <= {64, 128}


def test_parts_of_a_sum_do_not_depend_on_the_size_of_a_batch() -> None:
    assert [parts_of(rows, 256, (1, 3, 9), 192) for rows in (8, 64, 512, 4096)] == [9, 9, 3, 1]
    assert parts_of(4096, 8, (1, 3, 9), 192) == 3
