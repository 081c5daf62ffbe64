"""New shapes and the same ones: the seed and its lock."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from models.shape import Shape
from tests.support.page import Site, finished, make
from tests.support.replay import SEED


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


def asked(site: Site) -> dict[str, object]:
    request: dict[str, object] = json.loads(site.replay.requests[-1])
    return request


def again(page: Page, site: Site, button: str = "Again") -> dict[str, object]:
    """What is asked for next."""
    count = len(site.replay.requests)
    page.get_by_role("button", name=button, exact=True).click()
    finished(page)
    assert len(site.replay.requests) == count + 1
    return asked(site)


def test_again_makes_a_new_shape_unless_the_seed_is_locked(page: Page, site: Site) -> None:
    make(page, site)
    lock = page.get_by_role("button", name="Lock the seed")
    expect(lock).to_have_attribute("aria-pressed", "false")
    assert "seed" not in again(page, site)
    lock.click()
    expect(lock).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Seed", exact=True)).to_have_value(SEED)
    expect(page.locator("#seed-hint")).to_contain_text("Locked")
    page.get_by_label("Prompt").fill("a ball")
    assert again(page, site, "Generate")["seed"] == int(SEED)
    assert again(page, site)["prompt"] == "a ball"
    lock.click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("")
    assert "seed" not in again(page, site, "Generate")


def test_examples_links_and_history_pin_nothing_in_the_form(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_role("link", name="a mug with a handle").click()
    finished(page)
    assert (asked(site)["seed"], asked(site)["ddim_steps"]) == (2, 50)
    expect(page.locator("#facts-text")).to_contain_text("seed 2 · 50 steps")
    expect(page.get_by_label("Prompt")).to_have_value("a mug with a handle")
    expect(page.get_by_label("Steps")).to_have_value("100")
    page.locator("#history-list button").first.click()
    made = again(page, site, "Generate")
    assert ("seed" in made, made["ddim_steps"]) == (False, 100)


def test_keep_seed_takes_the_seed_and_the_settings_of_the_shape(page: Page, site: Site) -> None:
    page.goto(f"{site.url}ui/#prompt=a+ring&seed=7&steps=43&guidance=3&fine=0")
    finished(page)
    page.get_by_role("button", name="Keep seed").click()
    expect(page.get_by_role("button", name="Lock the seed")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Prompt").fill("a ball")
    assert again(page, site, "Generate") == {
        "prompt": "a ball", "ddim_steps": 43, "guidance_scale": 3, "use_fine": False, "seed": 7,
    }  # fmt: skip
