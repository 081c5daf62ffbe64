"""The page for everybody: keyboard, screen reader, phone, dark and light, and large shapes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from api.result import Result
from models.result import Voxels
from tests.ui.conftest import Site, new_page
from tests.ui.pictures import drawn, picture
from tests.ui.test_page import finished, make, settled

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
        name = page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
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


def test_it_fits_a_phone(browser: Browser, site: Site) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, device_scale_factor=2, is_mobile=True, has_touch=True
    )
    page = new_page(context, site)
    make(page, site, "a ring with a long name " * 8)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    stage = page.locator("#stage").bounding_box()
    assert stage is not None
    assert stage["y"] >= 0
    assert stage["height"] < 740
    image = picture(page)
    assert drawn(image).mean() > 0.03
    small = page.locator("button:visible, summary:visible, .segments label:visible").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().height < 32).map(e => e.outerHTML)"
    )
    assert small == []
    page.locator("#download summary").tap()
    menu = page.locator("#download ul").bounding_box()
    assert menu is not None
    assert menu["x"] >= 0
    assert menu["x"] + menu["width"] <= 360
    context.close()


def test_two_hundred_thousand_voxels_are_one_draw_call_of_little_work(page: Page, site: Site) -> None:
    generator = np.random.default_rng(0)
    side = 256
    cells = np.sort(generator.choice(side**3, 200_000, replace=False))
    ijk = np.stack(np.unravel_index(cells, (side, side, side)), axis=1) - side // 2
    normal = ijk / np.linalg.norm(ijk, axis=1, keepdims=True).clip(1)
    site.replay.result = Result(
        site.replay.result.coarse, Voxels(ijk.astype(np.int16), normal.astype(np.float32), 1 / side), 1
    )
    make(page, site)
    expect(page.locator("#facts-text")).to_contain_text("200,000 voxels")
    # The graphics card's part can't be measured without one; the page's own part of a frame can.
    work = page.evaluate(
        """async () => {
            const { Viewer } = await import('./viewer.js');
            const viewer = new Viewer(Object.assign(document.createElement('canvas'), {width: 64, height: 64}));
            const { shapeOf } = await import('./shape.js');
            const xyz = [], normal = [];
            for (let n = 0; n < 200000; n++) {
                xyz.push([(n % 64 + 0.5) / 64, ((n >> 6) % 64 + 0.5) / 64, ((n >> 12) + 0.5) / 64]);
                normal.push([0, 1, 0]);
            }
            viewer.show(shapeOf(xyz, normal));
            viewer.uniforms.grow.value = 1;
            const times = [];
            for (let n = 0; n < 4; n++) {
                const start = performance.now();
                viewer.move([0.01, 0], 1);
                viewer.render();
                times.push(performance.now() - start);
            }
            // A software renderer takes its time: the tests that follow must not wait for it.
            const gl = viewer.renderer.getContext();
            gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
            const { calls, triangles } = viewer.renderer.info.render;
            return {calls, triangles, ms: Math.min(...times)};
        }"""
    )
    assert work["calls"] == 2, "voxels and shadow"
    assert work["triangles"] == 6 * 200_000 + 2
    assert work["ms"] < 1000 / 60
