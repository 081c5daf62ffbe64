"""What survives a reload, a link, another tab: the request that runs and the shapes that were made."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from models.shape import Shape
from tests.support.page import Site, finished, make, new_page
from tests.support.replay import SEED


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


def test_a_reload_while_a_shape_is_made_goes_on_with_that_shape(page: Page, site: Site) -> None:
    make(page, site, "a ball")
    site.replay.held = True
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    page.reload()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    site.replay.held = False
    finished(page)
    expect(page.locator("#caption")).to_have_text("a ring")
    expect(page.get_by_label("Prompt")).to_have_value("a ring")
    asked = site.replay.requests[-1].decode()
    assert (json.loads(asked)["prompt"], f'"seed":{SEED}' in asked) == ("a ring", True)


def test_a_shape_that_was_made_is_not_made_again_by_reload_link_or_history(page: Page, site: Site) -> None:
    make(page, site, "a ring")
    link = page.url
    make(page, site, "a ball")
    count = len(site.replay.requests)
    page.reload()
    expect(page.locator("#caption")).to_have_text("a ball")
    page.locator("#history-list button", has_text="a ring").click()
    expect(page.locator("#caption")).to_have_text("a ring")
    other = new_page(page.context, site)
    other.goto(link)
    expect(other.locator("#caption")).to_have_text("a ring")
    expect(other.locator("#stage")).to_have_attribute("data-state", "shown")
    assert len(site.replay.requests) == count


def test_the_way_back_leads_to_the_start_and_forward_to_the_shape(page: Page, site: Site) -> None:
    page.goto(site.url)
    start = page.title()
    page.get_by_role("link", name="a castle").click()
    finished(page)
    made = page.url
    page.go_back()
    expect(page.get_by_role("link", name="a castle")).to_be_visible()
    assert page.title() == start
    expect(page.locator("#history-list [aria-current=true]")).to_have_count(0)
    page.go_forward()
    expect(page.locator("#caption")).to_have_text("a castle")
    assert page.url == made
    assert len(site.replay.requests) == 1


def test_the_way_back_cancels_what_is_made(page: Page, site: Site) -> None:
    page.goto(site.url)
    start = page.url
    site.replay.held = True
    page.get_by_role("link", name="a castle").click()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    page.go_back()
    expect(page.locator("#live")).to_have_text("Cancelled")
    expect(page.get_by_role("link", name="a castle")).to_be_visible()
    assert page.url == start


def test_the_link_to_the_prompt_leaves_the_address_of_the_shape(page: Page, site: Site) -> None:
    make(page, site)
    address = page.url
    page.get_by_role("link", name="Skip to the prompt").press("Enter")
    expect(page.get_by_label("Prompt")).to_be_focused()
    page.wait_for_url(address)
    expect(page.locator("#caption")).to_be_visible()


def test_a_draft_survives_a_reload_and_another_link_replaces_it(page: Page, site: Site) -> None:
    make(page, site, "a ring")
    page.get_by_label("Prompt").fill("a ball, perhaps")
    page.get_by_label("Steps").fill("40")
    page.reload()
    finished(page)
    expect(page.get_by_label("Prompt")).to_have_value("a ball, perhaps")
    expect(page.get_by_label("Steps")).to_have_value("40")
    page.goto(f"{site.url}ui/#prompt=a+cone")
    finished(page)
    expect(page.get_by_label("Prompt")).to_have_value("a cone")


def test_an_entry_opens_its_own_shape_after_another_tab_has_changed_the_list(page: Page, site: Site) -> None:
    make(page, site, "a ring")
    make(page, site, "a ball")
    other = new_page(page.context, site)
    # A tab that sleeps is told late: here not at all.
    other.add_init_script("addEventListener('storage', (event) => event.stopImmediatePropagation(), true)")
    other.goto(site.url)
    expect(other.locator("#history-list button")).to_have_count(2)
    make(page, site, "a cone")
    other.locator("#history-list button", has_text="a ball").click()
    expect(other.locator("#caption")).to_have_text("a ball")


def test_tabs_show_the_same_history(page: Page, site: Site) -> None:
    page.goto(site.url)
    other = new_page(page.context, site)
    make(other, site, "a ring")
    expect(page.locator("#history-list button")).to_have_count(1)
    other.get_by_role("button", name="Clear").click()
    expect(page.locator("#history")).to_be_hidden()


def test_tabs_that_end_at_the_same_time_lose_nothing_of_the_history(page: Page, site: Site) -> None:
    other = new_page(page.context, site)
    for tab in (page, other):
        tab.goto(site.url)
    for number in (2, 4, 6):
        site.replay.held = True
        for tab, prompt in ((page, f"a ring {number}"), (other, f"a cone {number}")):
            tab.get_by_label("Prompt").fill(prompt)
            tab.get_by_role("button", name="Generate").click()
            expect(tab.locator("#stage")).to_have_attribute("data-state", "coarse")
        site.replay.held = False
        for tab in (page, other):
            expect(tab.locator("#history-list button")).to_have_count(number)
            finished(tab)


def test_what_is_kept_is_bounded_and_cleared(page: Page, site: Site) -> None:
    page.goto(site.url)
    left = page.evaluate(
        """async () => {
            const { put, get, clear } = await import('./kept.js');
            const request = (seed) => ({prompt: 'a ring', steps: 100, guidance: 7.5, seed, fine: true});
            const shape = (bytes) => ({index: new Int16Array(bytes / 2), normal: new Int8Array(0)});
            const put20 = (seed) => put({request: request(seed), shapes: {coarse: shape(20 * 2 ** 20), fine: null}});
            for (let n = 0; n < 6; n++) await put20(String(n));
            const there = [];
            for (let n = 0; n < 6; n++) there.push(Boolean(await get(request(String(n)))));
            await clear();
            return [there, Boolean(await get(request('5')))];
        }"""
    )
    assert left == [[False, False, True, True, True, True], False]


def test_without_a_store_shapes_are_made_all_the_same(page: Page, site: Site) -> None:
    page.add_init_script("IDBFactory.prototype.open = () => { throw new Error('forbidden') }")
    make(page, site, "a ring")
    page.reload()
    finished(page)
    assert len(site.replay.requests) == 2
