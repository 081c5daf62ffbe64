"""What the models know is told before the wait."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support.page import Site

KINDS = [{"name": "armchair", "names": ["armchair", "easy chair"]}, {"name": "mug", "names": ["mug", "cup"]}]


def test_a_prompt_that_names_nothing_known_is_told_at_once_with_the_nearest(page: Page, site: Site) -> None:
    site.replay.kinds = KINDS
    page.goto(site.url)
    expect(page.locator("#kinds summary")).to_have_text("What the official models know: 2 kinds")
    prompt = page.get_by_label("Prompt")
    prompt.press_sequentially("xyzzy")
    expect(page.locator("#unknown")).to_contain_text("It knows nothing of that name")
    page.locator("#unknown").get_by_role("button", name="armchair").click()
    expect(prompt).to_have_value("an armchair")
    expect(prompt).to_be_focused()
    expect(page.locator("#unknown")).to_be_hidden()
    assert site.replay.requests == []


def test_the_kinds_are_listed_searched_and_chosen(page: Page, site: Site) -> None:
    site.replay.kinds = KINDS
    page.goto(site.url)
    page.locator("#kinds summary").click()
    expect(page.locator("#kinds-list button")).to_have_text(["armchair", "mug"])
    search = page.get_by_label("Search the kinds")
    search.fill("cup")
    expect(page.locator("#kinds-list button")).to_have_text(["mug"])
    search.press("Enter")
    expect(page.get_by_label("Prompt")).to_have_value("a mug")
    assert site.replay.requests == []


@pytest.mark.parametrize(
    ("models", "kinds", "summary", "card"),
    [
        ("demo", KINDS, "What the demo models know: 2 kinds", "Small models that come with the service"),
        ("official", [], "About the official models", "trained on Objaverse"),
        ("own", [], "About these models", "the operator of this service has chosen"),
        ("chess", KINDS[:1], "What the models “chess” know: 1 kind", "the operator of this service has chosen"),
    ],
)
def test_a_card_tells_which_models_they_are_and_where_they_run(
    page: Page, site: Site, models: str, kinds: list[dict[str, object]], summary: str, card: str
) -> None:
    site.replay.models, site.replay.kinds = models, kinds
    site.replay.health |= {"gpu_name": "NVIDIA H100" if kinds else None, "error": "There is no fine model."}
    page.goto(site.url)
    expect(page.locator("#kinds summary")).to_have_text(summary)
    page.locator("#kinds summary").click()
    expect(page.locator("#set")).to_contain_text(card)
    expect(page.locator("#set")).to_contain_text("a GPU, NVIDIA H100." if kinds else "They run on a CPU.")
    expect(page.locator("#set")).to_contain_text("There is no fine model.")
    expect(page.locator("#kinds-list button")).to_have_count(len(kinds))
    expect(page.locator("#kinds-search")).to_be_visible(visible=bool(kinds))


def test_where_nobody_can_list_them_nothing_is_said(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#health")).to_have_text("Ready")
    page.get_by_label("Prompt").press_sequentially("xyzzy")
    page.wait_for_timeout(700)
    expect(page.locator("#kinds-list button")).to_have_count(0)
    expect(page.locator("#unknown")).to_be_hidden()
