"""When the page fetches what makes shapes of the service's answers, and what it does where that does not come."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from models.shape import Shape
from tests.support.page import Site, drop, finished, make

WORKER = "**/making/worker.js"
MISSING = "A part of the page could not be loaded. Is the network up?"

WATCH = """window.Worker = class extends Worker {
    constructor(...given) {
        super(...given);
        this.addEventListener('error', () => (document.documentElement.dataset.gone = 'yes'));
    }
}"""
"""Keeps in the document whether the page was told that a worker could not be loaded.

An expression to wait for would be evaluated by the page, whose Content-Security-Policy forbids that.
"""


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


def test_what_makes_shapes_is_fetched_when_somebody_turns_to_the_prompt(page: Page, site: Site) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(site.url)
    page.wait_for_load_state("networkidle")
    assert any(url.endswith("/viewer.js") for url in fetched)
    assert [url for url in fetched if "/making/" in url or "/later/" in url] == []
    with page.expect_request(WORKER):
        page.get_by_label("Prompt").focus()
    assert site.replay.requests == []


def test_what_makes_shapes_is_fetched_while_the_service_works(page: Page, site: Site) -> None:
    page.route("**/generate?*", lambda _: None)  # no answer
    with page.expect_event("requestfinished", lambda request: request.url.endswith("/making/worker.js")):
        page.goto(f"{site.url}ui/#prompt=a+ring&seed=7")
    expect(page.locator("#stage")).to_have_attribute("aria-busy", "true")


def test_that_a_part_of_the_page_does_not_come_is_told_and_can_be_tried_again(page: Page, site: Site) -> None:
    page.route(WORKER, lambda route: route.abort())
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem-title")).to_have_text("No connection")
    expect(page.locator("#problem-text")).to_have_text(MISSING)
    page.unroute(WORKER)
    page.get_by_role("button", name="Try again").click()
    finished(page)


def test_a_part_that_did_not_come_at_first_is_fetched_again_unnoticed(page: Page, site: Site) -> None:
    page.add_init_script(WATCH)
    page.route(WORKER, lambda route: route.abort())
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ring")
    expect(page.locator("html")).to_have_attribute("data-gone", "yes")
    page.unroute(WORKER)
    page.get_by_role("button", name="Generate").click()
    finished(page)
    expect(page.locator("#problem")).to_be_hidden()


def test_a_view_that_does_not_come_is_told_and_can_be_chosen_again(page: Page, site: Site) -> None:
    make(page, site)
    axes = page.get_by_role("button", name="Axes and lengths")
    surface = page.locator(".segments label", has_text="Surface")
    colours = page.get_by_label("Colours")
    chosen = (axes.click, surface.click, lambda: colours.select_option("VOX"))
    page.route("**/later/*", lambda route: route.abort())
    for choose in chosen:
        choose()
        expect(page.locator("#problem-text")).to_have_text(MISSING)
        page.get_by_role("button", name="Close").click()
        expect(page.locator("#problem")).to_be_hidden()
        expect(axes).to_have_attribute("aria-pressed", "false")
        expect(page.get_by_role("radio", name="Voxels")).to_be_checked()
        expect(colours).to_have_value("")
    page.unroute("**/later/*")
    axes.click()
    expect(page.locator(".axis.x")).to_be_visible()
    colours.select_option("VOX")
    expect(page.locator("#view")).to_have_attribute("data-colours", "VOX")
    surface.click()
    expect(page.locator("#live")).to_contain_text("triangles")


def test_a_file_that_cannot_be_taken_yet_is_told(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.route("**/later/*", lambda route: route.abort())
    drop(page, "house.vox")
    expect(page.locator("#problem-text")).to_have_text(MISSING)
    page.unroute("**/later/*")
    drop(page, "house.vox")
    expect(page.locator("#source-name")).to_have_text("house.vox")


def test_sizes_that_could_not_be_foretold_are_when_the_menu_opens_again(page: Page, site: Site) -> None:
    page.add_init_script(WATCH)
    make(page, site)
    menu = page.locator("#download summary")
    page.route("**/later/*", lambda route: route.abort())
    menu.click()
    expect(page.locator("html")).to_have_attribute("data-gone", "yes")
    page.unroute("**/later/*")
    menu.click()
    menu.click()
    expect(page.locator("#download [data-format=vox] small")).to_contain_text("about")
