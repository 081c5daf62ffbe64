"""Octrees, read back by readers that were written from the engine's documents alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from formats import FORMATS, Options, file_of
from formats.blocks import Block, Blocks
from formats.box import TooLargeError
from formats.crossworld import bcf, csm
from formats.crossworld_materials import materials
from models.shape import Shape
from tests.support.blocks import PALETTE, no_blocks, scattered
from tests.support.crossworld import Cube, leaves, places, read_bcf, read_csm

COLOURED = (*PALETTE, Block("red", (255, 0, 0)), Block("cyan", (0, 255, 255)))
"""Materials of one, two and three digits, below and above 127."""


def read_text(blocks: Blocks) -> Cube:
    return read_csm(csm(blocks).decode("ascii"))


def read_bytes(blocks: Blocks) -> Cube:
    return read_bcf(bcf(blocks))


BOTH = pytest.mark.parametrize("read", [read_text, read_bytes], ids=["csm", "bcf"])


def wanted(blocks: Blocks, moved: int = 0) -> dict[tuple[int, ...], int]:
    values = materials(blocks.palette)[blocks.block].tolist()
    return dict(zip(map(tuple, (blocks.position + moved).tolist()), values, strict=True))


@BOTH
@pytest.mark.parametrize(
    ("low", "high", "count", "side"),
    [(0, 1, 1, 2), (0, 8, 60, 8), (0, 9, 100, 16), (3, 30, 9000, 32), (0, 128, 6000, 128)],
)
def test_positions_from_the_corner_on_are_places_of_the_root(
    low: int, high: int, count: int, side: int, read: Callable[[Blocks], Cube]
) -> None:
    blocks = scattered(low, high, count, COLOURED)
    assert places(read(blocks), side) == wanted(blocks)


@BOTH
@pytest.mark.parametrize(("low", "high", "side"), [(-1, 0, 2), (-4, 4, 8), (-5, 3, 16), (-20, 12, 64)])
def test_the_root_is_centred_where_a_position_is_negative(
    low: int, high: int, side: int, read: Callable[[Blocks], Cube]
) -> None:
    blocks = scattered(low, high, 2000, COLOURED)
    assert places(read(blocks), side) == wanted(blocks, side // 2)


@BOTH
@pytest.mark.parametrize(("edge", "side"), [(1 / 64, 64), (1 / 60, 64), (1 / 65, 128)])
def test_the_root_is_as_wide_as_a_shape_may_be(edge: float, side: int, read: Callable[[Blocks], Cube]) -> None:
    """So that a coarse and a fine octree of one shape lie on each other."""
    small = replace(scattered(-2, 2, 30, COLOURED), edge=edge)
    assert places(read(small), side) == wanted(small, side // 2)


@BOTH
def test_a_solid_cube_is_one_leaf(read: Callable[[Blocks], Cube]) -> None:
    position = np.argwhere(np.ones((16, 16, 16))).astype(np.int32)
    two = Blocks(position, (position[:, 1] >= 8).astype(np.uint8), COLOURED, 1.0)
    stone, wood = materials(COLOURED)[:2].tolist()
    assert read(two) == [stone, stone, wood, wood, stone, stone, wood, wood]
    one = Blocks(position, np.zeros(len(position), np.uint8), COLOURED, 1.0)
    assert leaves(read(one)) == 8


def test_small_files_have_short_pointers() -> None:
    sizes = {len(bcf(scattered(0, 16, count))): bcf(scattered(0, 16, count))[12] for count in (1, 60, 4000)}
    assert [size < limit for size, limit in zip(sizes, (256, 65536, 65536), strict=True)] == [True] * 3
    assert list(sizes.values()) == [0xA0, 0xA1, 0xA1]
    assert bcf(scattered(0, 128, 40_000))[12] == 0xA2


@pytest.mark.parametrize("write", [csm, bcf])
def test_no_block_and_too_far_a_place_are_told_in_a_sentence(write: Callable[[Blocks], bytes]) -> None:
    with pytest.raises(ValueError, match="no voxel: there is nothing to write"):
        write(no_blocks())
    far = Blocks(np.array([[0, 0, 0], [0, 70_000, 0]], np.int32), np.zeros(2, np.uint8), PALETTE, 1.0)
    with pytest.raises(TooLargeError, match="65,536 places a side: ask for a smaller size"):
        write(far)


@pytest.mark.parametrize(
    ("name", "colour", "material"),
    [
        ("minecraft:oak_planks", (0, 0, 0), 42),
        ("planks_oak", (0, 0, 0), 42),
        ("minecraft:spruce_log[axis=y]", (0, 0, 0), 37),
        ("minecraft:gold_block", (0, 0, 0), 50),
        ("minecraft:white_concrete", (0, 0, 0), 58),
        ("minecraft:stone_bricks", (128, 128, 128), 20),
        ("anything", (255, 0, 0), 224),
        ("anything", (0, 146, 170), 146),
        ("anything", (254, 254, 254), 26),
        ("anything", (0, 0, 0), 128),
    ],
)
def test_a_block_becomes_the_material_of_its_name_or_else_of_its_colour(
    name: str, colour: tuple[int, int, int], material: int
) -> None:
    assert materials([Block(name, colour)]).tolist() == [material]


def test_no_block_becomes_empty_space_or_what_is_seen_through() -> None:
    colours = [(r, g, b) for r in range(0, 256, 51) for g in range(0, 256, 51) for b in range(0, 256, 51)]
    assert materials([Block("", colour) for colour in colours]).min() >= 18


@pytest.mark.parametrize(("name", "read"), [("csm", lambda data: read_csm(data.decode())), ("bcf", read_bcf)])
def test_a_shape_lies_where_its_voxels_are_in_the_materials_that_its_prompt_means(
    name: str, read: Callable[[bytes], Cube], result: Shape
) -> None:
    (format_,) = (format_ for format_ in FORMATS if format_.name == name)
    wooden = replace(result, prompt="a wooden ball")
    found = places(read(file_of(format_, wooden, "1").content), 64)
    assert sorted(found) == sorted(map(tuple, (wooden.finest.ijk.astype(int) + 32).tolist()))
    assert set(found.values()) == {36, 42}, "wood and planks of oak"
    listed = file_of(format_, wooden, "1", Options(palette="brick=8b3a3a,minecraft:gold_block"))
    assert set(places(read(listed.content), 64).values()) == {56, 50}
