"""What can be done with the view: a slow turn, full screen, a picture for the clipboard; and the shape's size."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from models.shape import Shape
from tests.support.page import Site, finished, make, settled
from tests.support.pictures import difference, picture


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


def test_the_turntable_turns_until_it_is_stopped(page: Page, site: Site, result: Shape) -> None:
    # A ball looks the same from everywhere but for its light, so half of one is shown.
    half = result.coarse.ijk[:, 0] >= 0
    coarse = type(result.coarse)(result.coarse.ijk[half], result.coarse.normal[half], result.coarse.voxel_size)
    site.replay.result = Shape(coarse, None, 1)
    make(page, site)
    settled(page)
    start = picture(page)
    button = page.get_by_role("button", name="Turn slowly")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(1500)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    settled(page)
    stopped = picture(page)
    assert difference(start, stopped) > 0.01
    page.wait_for_timeout(500)
    assert difference(stopped, picture(page)) < 0.002


def test_the_stage_fills_the_screen_and_comes_back(page: Page, site: Site) -> None:
    make(page, site)
    full = page.get_by_role("button", name="Full screen")
    full.click()
    expect(full).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.fullscreenElement.id") == "stage"
    full.click()
    expect(full).to_have_attribute("aria-pressed", "false")


def test_in_full_screen_the_keyboard_stays_with_the_shape_until_the_form_is_needed(page: Page, site: Site) -> None:
    make(page, site)
    page.get_by_role("button", name="Full screen").click()
    page.get_by_role("button", name="Again").press("Enter")
    expect(page.locator("#view")).to_be_focused()
    finished(page)
    page.get_by_role("button", name="Vary…").press("Enter")
    expect(page.get_by_label("Strength")).to_be_focused()
    expect(page.get_by_role("button", name="Full screen")).to_have_attribute("aria-pressed", "false")


def test_the_picture_is_put_on_the_clipboard(page: Page, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    make(page, site)
    page.get_by_role("button", name="Copy picture").click()
    expect(page.locator("#live")).to_have_text("The picture is copied.")
    kinds = page.evaluate("async () => (await navigator.clipboard.read())[0].types")
    assert kinds == ["image/png"]


def test_the_size_is_told_in_blocks_and_millimetres(page: Page, site: Site, result: Shape) -> None:
    make(page, site)
    side = int(result.coarse.ijk[:, 0].max()) - int(result.coarse.ijk[:, 0].min()) + 1
    expect(page.locator("#size")).to_have_text(f"{side} × {side} × {side} blocks · 100 × 100 × 100 mm")
