"""The page in browsers that keep nothing: stores that are forbidden, as cookies may be, or full."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from models.shape import Shape
from tests.support.page import Site, drop, finished

FORBIDDEN = """for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])
    Object.defineProperty(window, name, {get() { throw new DOMException('It is denied.', 'SecurityError'); }});"""
FULL = "Storage.prototype.setItem = () => { throw new DOMException('It is full.', 'QuotaExceededError'); };"


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


def no_room(page: Page, site: Site) -> None:
    """From now on the browser has no room for what this site wants to keep."""
    page.add_init_script(FULL)
    limits = {"origin": site.url, "quotaSize": 1}
    page.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", limits)


@pytest.mark.parametrize("full", [True, False], ids=["full", "forbidden"])
def test_shapes_and_keys_and_files_are_used_all_the_same(page: Page, site: Site, full: bool) -> None:
    if full:
        no_room(page, site)
    else:
        page.add_init_script(FORBIDDEN)
    site.replay.locked = True
    site.replay.errors = [(401, {"error": "Send the API key.", "code": "unauthorized", "retryable": False}, {})]
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ball")
    page.get_by_role("button", name="Generate").click()
    page.get_by_label("API key").fill("secret")
    page.get_by_role("button", name="Try again").click()
    finished(page)
    expect(page.locator("#health")).to_have_text("Ready")
    drop(page, "ball.ply")
    expect(page.locator("#source-name")).to_have_text("ball.ply")
    page.get_by_role("button", name="Refine", exact=True).click()
    expect(page.locator("#facts-text")).to_contain_text("from ball.ply")
    assert json.loads(site.replay.requests[-1])["shape"]["format"] == "ply"
    page.get_by_role("button", name="Switch between dark and light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("#problem-text")).to_have_text("The file ball.ply is not here any more: choose it again.")
