"""The page for everybody: keyboard, screen reader, dark and light."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.page import Site, finished, make, new_page

# Relative luminance and contrast of two colours (WCAG 2, 1.4.3).
CONTRAST = """() => {
  const style = getComputedStyle(document.documentElement);
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const luminance = (name) => {
    canvas.fillStyle = style.getPropertyValue(name);
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pairs = [['--text', '--panel'], ['--text', '--back'], ['--quiet', '--panel'], ['--quiet', '--back'],
    ['--quiet', '--soft'], ['--bad', '--panel'], ['--good', '--soft'], ['--wait', '--soft'],
    ['--on-accent', '--accent']];
  return pairs.map(([one, other]) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return [`${one} on ${other}`, (high + 0.05) / (low + 0.05)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast(browser: Browser, site: Site, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = new_page(context, site)
    page.goto(site.url)
    poor = [pair for pair in page.evaluate(CONTRAST) if pair[1] < 4.5]
    context.close()
    assert poor == []


def test_the_theme_follows_the_system_until_the_reader_chooses(page: Page, site: Site) -> None:
    page.goto(site.url)
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(back)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(back)
    assert dark != light
    page.get_by_role("button", name="Switch between dark and light").click()
    assert page.evaluate(back) == light
    page.reload()
    assert page.evaluate(back) == light


def test_the_whole_way_can_be_gone_with_the_keyboard(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the prompt")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    reached: list[str] = []
    for _ in range(40):
        name = page.evaluate(
            "document.activeElement.id || document.activeElement.name || document.activeElement.textContent.trim()"
        )
        if name in reached:
            break
        reached.append(name)
        page.keyboard.press("Tab")
    for control in ("steps", "guidance", "seed", "dice", "fine", "go"):
        assert control in reached
    page.get_by_label("Prompt").focus()
    page.keyboard.type("a ring")
    page.keyboard.press("Enter")
    finished(page)
    page.locator("#download summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#download button").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#download button").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#download button").first).to_be_hidden()
    expect(page.locator("#download summary")).to_be_focused()


def test_every_control_has_a_name_for_a_screen_reader(page: Page, site: Site) -> None:
    make(page, site)
    page.locator("#download summary").click()
    tree = page.locator("body").aria_snapshot()
    nameless = re.findall(r"- (?:button|textbox|slider|switch|radio|img|application|checkbox|link)(?::|$| \[)", tree)
    assert nameless == []
    for named in ('application "a ring, ', 'slider "Steps', 'switch "Refine', 'radio "Voxels"', 'heading "xcube"'):
        assert named in tree, tree
    expect(page.locator("#live")).to_contain_text("Done")


def test_the_focus_stays_on_the_button_while_a_shape_is_made(page: Page, site: Site) -> None:
    site.replay.held = True
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").press("Enter")
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    expect(page.get_by_role("button", name="Generating…")).to_be_focused()
    expect(page.get_by_role("button", name="Generating…")).to_be_disabled()
    page.keyboard.press("Enter")
    site.replay.held = False
    finished(page)
    expect(page.get_by_role("button", name="Generate")).to_be_focused()
    assert len(site.replay.requests) == 1


def test_what_goes_on_is_told_outside_of_what_is_busy(page: Page, site: Site) -> None:
    site.replay.held = True
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("[role=status]", has_text="The coarse shape is there.")).to_have_count(1)
    expect(page.locator("[aria-busy=true]")).to_have_count(1)
    expect(page.locator("[aria-busy=true] [role=status]")).to_have_count(0)


def test_what_is_nothing_but_a_background_is_seen_in_the_system_s_colours(page: Page, site: Site) -> None:
    page.emulate_media(forced_colors="active")
    page.goto(site.url)
    switch = page.get_by_role("switch", name="Refine to full detail")
    on = switch.screenshot()
    switch.uncheck()
    assert switch.screenshot() != on
    page.evaluate("document.getElementById('progress').hidden = false")
    bar = page.locator("#progress-bar")
    bar.evaluate("e => (e.value = 0.2)")
    little = bar.screenshot()
    bar.evaluate("e => (e.value = 0.8)")
    assert bar.screenshot() != little


def test_prompts_run_in_the_direction_of_their_script(page: Page, site: Site) -> None:
    make(page, site, "כיסא גבוה!")
    for place in ("#prompt", "#caption", "#history-list span"):
        assert page.locator(place).evaluate("e => getComputedStyle(e).direction") == "rtl", place
    page.get_by_role("button", name="Vary…").click()
    assert page.locator("#source-name").evaluate("e => getComputedStyle(e).direction") == "rtl"


def test_the_chosen_theme_is_there_before_the_script_of_the_page(page: Page, site: Site) -> None:
    page.add_init_script("localStorage.setItem('xcube.theme', 'dark')")
    page.route("**/app.js", lambda route: route.abort())
    page.goto(site.url)
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.get_by_role("button", name="Switch between dark and light").click()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
