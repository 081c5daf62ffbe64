"""The page's states as axe-core sees them: wide and light, and narrow and dark as on a phone at night."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from models.shape import Shape
from tests.support.axe import violations
from tests.support.page import Site, finished, make

KINDS = [{"name": "armchair", "names": ["armchair", "easy chair"]}, {"name": "mug", "names": ["mug", "cup"]}]
WIDE: ViewportSize = {"width": 1200, "height": 800}
NARROW: ViewportSize = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


def accessible(page: Page) -> None:
    """Fails with what axe finds in the page's present state: wide and light, or narrow and dark."""
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(NARROW)
    found += violations(page)
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    assert not found, "\n\n".join(found)


def problem(status: int, code: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, {"error": "What went wrong: do this instead.", "code": code, "retryable": True}, {}


def test_the_start_and_an_open_form_with_faults_are_accessible(page: Page, site: Site) -> None:
    site.replay.kinds = KINDS
    page.goto(site.url)
    expect(page.locator("#kinds")).to_be_visible()
    accessible(page)
    page.locator("#kinds summary").click()
    page.get_by_text("More settings").click()
    page.get_by_label("Seed", exact=True).fill("abc")
    page.get_by_role("button", name="Generate").click()
    page.get_by_label("Prompt").fill("xyzzy")
    expect(page.locator("#unknown")).to_be_visible()
    expect(page.locator("#seed-fault")).to_be_visible()
    accessible(page)


def test_a_shape_that_is_made_and_its_downloads_are_accessible(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ball")
    page.get_by_role("radiogroup", name="Variants").get_by_text("2").click()
    site.replay.held = True
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    accessible(page)
    site.replay.held = False
    finished(page)
    accessible(page)
    page.locator("#download summary").click()
    expect(page.locator("#download button").first).to_be_visible()
    accessible(page)


def test_a_shape_that_is_varied_in_a_box_with_axes_is_accessible(page: Page, site: Site) -> None:
    make(page, site, "a ball")
    page.get_by_text("Surface", exact=True).click()
    expect(page.get_by_role("button", name="Wireframe")).to_be_visible()
    page.get_by_role("button", name="Axes and lengths").click()
    page.get_by_role("button", name="Vary…").click()
    page.get_by_role("switch", name="Change only a box").check()
    expect(page.locator(".axis.x")).to_be_visible()
    accessible(page)


def test_what_went_wrong_is_told_accessibly(page: Page, site: Site) -> None:
    site.replay.errors = [problem(503, "out_of_memory"), problem(401, "unauthorized")]
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ball")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem")).to_be_visible()
    accessible(page)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_label("API key")).to_be_visible()
    accessible(page)
