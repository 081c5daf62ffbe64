"""Controls beside prompt and steps: quality, scheduler, the fine stage's own steps, guidance's interval, variants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from models.presets import PRESETS
from models.shape import Shape
from tests.support.page import Site, finished, listen, make, new_page


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


@contextmanager
def guest(page: Page, site: Site, browser: Browser) -> Iterator[Page]:
    """The page as somebody else sees it who follows its link, once the shape is there."""
    other = browser.new_context()
    theirs = new_page(other, site)
    theirs.goto(page.url)
    finished(theirs)
    yield theirs
    other.close()


def again(site: Site) -> dict[str, Any]:
    """The last request, whatever its seed."""
    request: dict[str, Any] = json.loads(site.replay.requests[-1])
    del request["seed"]
    return request


def test_the_presets_are_those_of_the_service(page: Page, site: Site) -> None:
    page.goto(site.url)
    known = page.evaluate("async () => (await import('./request.js')).PRESETS")
    assert known == {
        name: {
            "scheduler": preset.scheduler, "steps": preset.steps, "fineSteps": preset.fine_steps or "",
            "from": preset.guidance_interval[0], "to": preset.guidance_interval[1],
            "turbo": preset.network == "turbo",
        }
        for name, preset in PRESETS.items()
    }  # fmt: skip


def test_a_preset_sets_the_controls_and_a_control_leaves_the_preset(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.get_by_role("radio", name="Standard")).to_be_checked()
    page.get_by_text("Draft", exact=True).click()
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    asked = json.loads(site.replay.requests[-1])
    assert asked == {
        "prompt": "a ring", "ddim_steps": 12, "guidance_scale": 7.5, "use_fine": True, "scheduler": "dpm++",
        "fine_steps": 8,
    }  # fmt: skip
    expect(page.locator("#facts-text")).to_contain_text("12 + 8 steps, dpm++")
    page.get_by_label("Steps").fill("30")
    for name in ("Draft", "Standard", "Best"):
        expect(page.get_by_role("radio", name=name)).not_to_be_checked()


def test_turbo_is_offered_where_the_models_have_it_and_is_asked_for_by_name(
    page: Page, site: Site, browser: Browser
) -> None:
    page.goto(site.url)
    expect(page.locator("#health")).to_have_attribute("data-state", "ready")
    expect(page.locator("#turbo")).to_be_hidden()
    site.replay.health["presets"] = list(PRESETS)
    page.reload()
    page.get_by_text("Turbo", exact=True).click()
    expect(page.locator("#guidance")).to_be_disabled()
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    first = {"prompt": "a ring", "preset": "turbo", "guidance_scale": 7.5, "use_fine": True}
    assert json.loads(site.replay.requests[-1]) == first
    expect(page.locator("#facts-text")).to_contain_text("4 steps, turbo")
    with guest(page, site, browser) as theirs:
        assert again(site) == first
        expect(theirs.locator("#facts-text")).to_contain_text("4 steps, turbo")
    page.get_by_label("Steps").fill("30")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    assert json.loads(site.replay.requests[-1])["ddim_steps"] == 30
    assert "preset" not in json.loads(site.replay.requests[-1])


def test_every_control_is_sent_and_is_in_the_link(page: Page, site: Site, browser: Browser) -> None:
    page.goto(site.url)
    page.get_by_text("More settings").click()
    page.get_by_label("Scheduler").select_option("dpm++")
    page.get_by_label("Fine stage").fill("9")
    page.get_by_label("Guided from").fill("0.2")
    page.get_by_label("to", exact=True).fill("7")
    page.get_by_label("Guidance interval").get_by_label("to").press("Tab")
    expect(page.get_by_label("to", exact=True)).to_have_value("1")
    page.get_by_label("to", exact=True).fill("0.7")
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    first = json.loads(site.replay.requests[-1])
    assert (first["scheduler"], first["fine_steps"], first["guidance_interval"]) == ("dpm++", 9, [0.2, 0.7])
    with guest(page, site, browser):
        assert again(site) == first


def test_variants_come_side_by_side_and_each_can_be_chosen(page: Page, site: Site) -> None:
    page.goto(site.url)
    said = listen(page)
    page.get_by_role("radiogroup", name="Variants").get_by_text("3").click()
    page.get_by_label("Seed", exact=True).fill("40")
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    assert json.loads(site.replay.requests[-1])["n"] == 3
    assert "2 of 3 shapes" in said()
    variants = page.locator("#made button")
    expect(variants).to_have_count(3)
    expect(page.locator("#history-list button")).to_have_count(3)
    variants.nth(1).click()
    expect(variants.nth(1)).to_have_attribute("aria-current", "true")
    expect(page.locator("#facts-text")).to_contain_text("seed 41")
    assert "seed=41" in page.url
    assert "n=" not in page.url
    page.get_by_role("radiogroup", name="Variants").get_by_text("1").click()
    make_one = page.get_by_role("button", name="Generate")
    make_one.click()
    finished(page)
    expect(page.locator("#made")).to_be_hidden()


def test_a_reload_asks_for_all_variants_again(page: Page, site: Site) -> None:
    make(page, site)
    site.replay.held = True
    page.get_by_role("radiogroup", name="Variants").get_by_text("2").click()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    page.reload()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    site.replay.held = False
    finished(page)
    expect(page.locator("#made button")).to_have_count(2)
    assert json.loads(site.replay.requests[-1])["n"] == 2
