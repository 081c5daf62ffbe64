"""The shape in the colours that files have: those of VOX, and those of Minecraft's blocks."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from formats import FORMATS, Options, file_of
from formats.json_text import write_json
from formats.materials import BY_NAME
from formats.paint import Style, painted
from models.shape import Shape, Voxels
from tests.support.page import Site, finished, make, settled
from tests.support.pictures import difference, drawn, picture

(VOX,) = (format_ for format_ in FORMATS if format_.name == "vox")


@pytest.fixture
def red(site: Site) -> Shape:
    site.replay.result = replace(site.replay.result, prompt="a red ring")
    return site.replay.result


def three_bars() -> Voxels:
    """Bars along the axes, each longer than a part of a VOX file, in no order."""
    random = np.random.default_rng(0)
    sides = [(280, 2, 2), (2, 280, 2), (2, 2, 280)]
    ijk = np.unique(np.concatenate([np.argwhere(np.ones(side)) for side in sides]), axis=0) - 140
    normal = random.normal(size=ijk.shape)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    order = random.permutation(len(ijk))
    return Voxels(ijk[order].astype(np.int16), normal[order].astype(np.float32), 1 / 300)


def mean(page: Page) -> np.ndarray:
    settled(page)
    seen = picture(page)
    found: np.ndarray = seen[drawn(seen)].mean(axis=0)
    return found


def expected(voxels: Voxels, style: Style) -> np.ndarray:
    height = voxels.ijk[:, 1].astype(np.float32)
    return painted((height - height.min()) / np.ptp(height), voxels.normal, style).colour


@pytest.mark.parametrize("palette", [None, "minecraft"])
@pytest.mark.parametrize("long", [False, True])
def test_each_voxel_has_the_colour_of_the_file(
    palette: str | None, long: bool, page: Page, site: Site, ball: Shape
) -> None:
    """A long shape is written in parts."""
    voxels = three_bars() if long else ball.finest
    shape = Shape(voxels, None, 1, prompt="a castle")
    assert (np.ptp(voxels.ijk, axis=0).max() >= 256) == long
    page.goto(site.url)
    colours = page.evaluate(
        """async ([text, vox]) => {
            const { shapesOf } = await import('./shapes.js');
            const { coloursOf } = await import('./later/colours.js');
            const bytes = Uint8Array.from(atob(vox), (letter) => letter.charCodeAt(0));
            return JSON.stringify([...coloursOf(bytes.buffer, (await shapesOf(text)).coarse)]);
        }""",
        [
            write_json(shape).decode(),
            base64.b64encode(file_of(VOX, shape, "1", Options(palette=palette)).content).decode(),
        ],
    )
    found = np.array(json.loads(colours)).reshape(-1, 4)
    np.testing.assert_array_equal(found[:, :3], expected(voxels, Style(palette, "a castle")))
    assert (found[:, 3] == 255).all()


def test_the_voxels_are_shown_in_the_colours_of_vox_and_of_minecraft(page: Page, site: Site, red: Shape) -> None:
    make(page, site)
    clay = mean(page)
    colours = page.get_by_role("combobox", name="Colours")
    pictures = []
    for choice in ("VOX", "Minecraft"):
        colours.select_option(choice)
        expect(page.locator("#view")).to_have_attribute("data-colours", choice)
        seen = mean(page)
        assert seen[0] > 1.5 * seen[1], "it is not red"
        pictures.append(picture(page))
    assert difference(*pictures) > 0.02
    blocks = {block.colour for block in BY_NAME["red"].blocks}
    shades = {tuple(colour) for colour in expected(red.finest, Style("minecraft", red.prompt)).tolist()}
    assert shades == blocks
    page.locator(".segments label", has_text="Points").click()
    assert mean(page)[0] > 1.5 * mean(page)[1], "the points are not red"
    colours.select_option("Clay")
    page.locator(".segments label", has_text="Voxels").click()
    np.testing.assert_allclose(mean(page), clay, atol=0.5)


def test_the_keyboard_chooses_and_the_next_shape_has_the_same_colours(page: Page, site: Site, red: Shape) -> None:
    make(page, site)
    colours = page.get_by_role("combobox", name="Colours")
    colours.focus()
    page.keyboard.press("ArrowDown")
    expect(colours).to_have_value("vox")
    expect(page.locator("#view")).to_have_attribute("data-colours", "VOX")
    site.replay.result = replace(red, prompt="a blue ring")
    page.get_by_role("button", name="Again").click()
    finished(page)
    expect(colours).to_have_value("vox")
    expect(page.locator("#view")).to_have_attribute("data-colours", "VOX")
    seen = mean(page)
    assert seen[2] > 1.5 * seen[0], "it is not blue"


def test_colours_are_offered_where_a_file_has_them(page: Page, site: Site, red: Shape) -> None:
    make(page, site)
    colours = page.get_by_role("combobox", name="Colours")
    colours.select_option("VOX")
    expect(page.locator("#view")).to_have_attribute("data-colours", "VOX")
    asked = len(site.replay.requests)
    for away, back in (("Normals", "Voxels"), ("Coarse", "Fine")):
        page.locator(".segments label", has_text=away).click()
        expect(colours).to_be_hidden()
        page.locator(".segments label", has_text=back).click()
        expect(colours).to_be_visible()
        expect(page.locator("#view")).to_have_attribute("data-colours", "VOX")
        seen = mean(page)
        assert seen[0] > 1.5 * seen[1], f"it is not red after {away}"
    assert len(site.replay.requests) == asked, "the file was asked for again"


def test_without_the_file_it_stays_clay_and_the_reason_is_told(page: Page, site: Site, red: Shape) -> None:
    make(page, site)
    site.replay.errors = [(422, {"error": "It is too large.", "code": "unfit_shape", "retryable": False}, {})]
    colours = page.get_by_role("combobox", name="Colours")
    colours.select_option("VOX")
    expect(page.locator("#problem-text")).to_have_text("It is too large.")
    expect(colours).to_have_value("")
    page.get_by_role("button", name="Close").click()
    colours.select_option("VOX")
    expect(page.locator("#view")).to_have_attribute("data-colours", "VOX")
