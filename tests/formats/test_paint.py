"""Colours: from words, from height, from directions, or as somebody lists them."""

from __future__ import annotations

import numpy as np
import pytest

from formats import Options, file_of
from formats.materials import BY_NAME, MATERIALS, material_of
from formats.paint import Style, painted
from formats.registry import FORMATS
from models.shape import Shape
from tests.support.solids import shell, sphere

BALL = shell(sphere(0.4), 32)
HEIGHT = (BALL.ijk[:, 1] - BALL.ijk[:, 1].min()) / np.float32(np.ptp(BALL.ijk[:, 1]))
TOP, BOTTOM = int(HEIGHT.argmax()), int(HEIGHT.argmin())
GLB, VOX = ([format_ for format_ in FORMATS if format_.name == name][0] for name in ("glb-points", "vox"))  # noqa: RUF015


@pytest.mark.parametrize(
    ("prompt", "material"),
    [
        ("a wooden chair", "oak"), ("a stone house", "stone"), ("a house", "brick"), ("A TALL CHAIR", "oak"),
        ("a castle of bricks", "brick"), ("a red wooden chair", "red"), ("two cups", "quartz"), ("a thing", "clay"),
        ("", "clay"), ("a glass table", "glass"), ("a light blue car", "blue"), ("eine Tür", "clay"),
        ("a chaired meeting", "clay"),
    ],
)  # fmt: skip
def test_a_word_of_the_prompt_means_a_material(prompt: str, material: str) -> None:
    assert material_of(prompt).name == material


def test_no_word_means_two_materials() -> None:
    words = [word for material in MATERIALS for word in (*material.words, *material.things)]
    assert sorted(words) == sorted(set(words))
    assert len({material.name for material in MATERIALS}) == len(MATERIALS)


@pytest.mark.parametrize("material", MATERIALS, ids=lambda material: material.name)
def test_a_material_goes_from_dark_below_to_bright_above(material) -> None:  # type: ignore[no-untyped-def]
    paint = painted(HEIGHT, BALL.normal, Style(palette=material.name))
    assert len(paint.palette) > 30
    light = paint.colour.astype(int).sum(axis=1)
    assert light[TOP] > light[BOTTOM] + 40
    middle = paint.colour.astype(int).mean(axis=0)
    assert np.abs(middle - material.colour).max() < 60
    in_minecraft = painted(HEIGHT, BALL.normal, Style(palette=material.name, minecraft=True))
    assert {block.name for block in in_minecraft.palette} <= {block.name for block in material.blocks}


def test_the_prompt_chooses_the_material_and_the_option_overrules_it() -> None:
    by_prompt = painted(HEIGHT, BALL.normal, Style(prompt="a wooden chair"))
    assert by_prompt.palette == painted(HEIGHT, BALL.normal, Style(palette="oak")).palette
    gold = painted(HEIGHT, BALL.normal, Style(palette="gold", prompt="a wooden chair"))
    assert gold.palette == painted(HEIGHT, BALL.normal, Style(palette="gold")).palette != by_prompt.palette


def test_height_and_lists_go_from_the_bottom_to_the_top() -> None:
    listed = painted(HEIGHT, BALL.normal, Style(palette="minecraft:dirt=866043,stone,my:top=ff0000"))
    assert [block.name for block in listed.palette] == ["minecraft:dirt", "minecraft:stone", "my:top"]
    assert listed.palette[1].colour == (125, 125, 125)
    assert (listed.index[BOTTOM], listed.index[TOP]) == (0, 2)
    assert np.bincount(listed.index).min() > 0.2 * len(BALL)
    by_height = painted(HEIGHT, BALL.normal, Style(palette="height"))
    assert len(np.unique(by_height.colour[HEIGHT[TOP] == HEIGHT], axis=0)) == 1
    assert (np.diff(by_height.index[np.argsort(HEIGHT, kind="stable")].astype(int)) >= 0).all()


@pytest.mark.parametrize("prompt", ["a wooden chair", "a castle", "a thing"])
def test_any_format_can_have_the_colours_of_minecrafts_files(prompt: str) -> None:
    paint = painted(HEIGHT, BALL.normal, Style(palette="minecraft", prompt=prompt))
    blocks = painted(HEIGHT, BALL.normal, Style(prompt=prompt, minecraft=True))
    np.testing.assert_array_equal(paint.index, blocks.index)
    assert paint.palette == blocks.palette
    assert 1 < len(paint.palette) < 6


def test_a_direction_has_a_colour_and_a_block() -> None:
    paint = painted(HEIGHT, BALL.normal, Style(palette="direction"))
    assert len(paint.palette) <= 216
    assert np.abs(paint.colour.astype(int) - 127.5 * (1 + BALL.normal)).max() < 26.0
    blocks = painted(HEIGHT, BALL.normal, Style(palette="direction", minecraft=True))
    assert len(blocks.palette) == 6
    assert blocks.palette[blocks.index[TOP]].name == "minecraft:lime_concrete"


def test_what_a_viewer_lights_has_no_light_of_its_own() -> None:
    paint = painted(HEIGHT, BALL.normal, Style(palette="oak", lit=True))
    for height in np.unique(HEIGHT):
        assert len(np.unique(paint.index[height == HEIGHT])) == 1


def data_of(glb: bytes) -> bytes:
    """The second chunk of a file: its arrays."""
    return glb[20 + int.from_bytes(glb[12:16], "little") :]


def test_colours_do_not_turn_with_the_file() -> None:
    """VOX has z up, glTF y: the same voxels have the same colours."""
    shape = Shape(BALL, None, 1, prompt="a wooden ball")
    points = file_of(GLB, shape, "1").content
    oak = file_of(GLB, Shape(BALL, None, 1), "1", Options(palette="oak")).content
    assert data_of(oak) == data_of(points) != data_of(file_of(GLB, Shape(BALL, None, 1), "1").content)
    top = BY_NAME["oak"].colour
    assert bytes(top) not in file_of(VOX, Shape(BALL, None, 1), "1").content
