"""When the page fetches what makes shapes of the service's answers, and what it does where that does not come."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from models.shape import Shape
from tests.support.page import Site, finished

WORKER = "**/making/worker.js"


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
    expect(page.locator("#problem-text")).to_have_text("A part of the page could not be loaded. Is the network up?")
    page.unroute(WORKER)
    page.get_by_role("button", name="Try again").click()
    finished(page)


def test_a_part_that_did_not_come_at_first_is_fetched_again_unnoticed(page: Page, site: Site) -> None:
    page.route(WORKER, lambda route: route.abort())
    page.goto(site.url)
    with page.expect_event("requestfailed"):
        page.get_by_label("Prompt").fill("a ring")
    page.unroute(WORKER)
    page.get_by_role("button", name="Generate").click()
    finished(page)
    expect(page.locator("#problem")).to_be_hidden()
