"""The page on a phone: 360 pixels wide, with fingers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from models.shape import Shape
from tests.support.page import Site, finished, make, new_page, settled
from tests.support.pictures import difference, drawn, picture

# What can be pressed or read and reaches over the left or right edge. Rows that scroll sideways may.
OUTSIDE = """() => [...document.querySelectorAll('button, a, input, summary, label, textarea, h1, h2, p, img')]
  .filter((e) => e.checkVisibility() && !e.closest('.chips, #history-list, .hidden, .skip, .segments input'))
  .filter((e) => { const r = e.getBoundingClientRect(); return r.width && (r.left < 0 || r.right > innerWidth); })
  .map((e) => e.outerHTML)"""


# How far the lines of a text reach to the right.
RIGHT = """(place) => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector(place));
  return Math.max(...[...range.getClientRects()].map((line) => line.right));
}"""


@pytest.fixture
def phone(browser: Browser, site: Site) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 360, "height": 740},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        reduced_motion="reduce",
    )
    yield new_page(context, site)
    context.close()


def fingers(page: Page) -> Callable[..., None]:
    """What puts fingers at places of the page: its kind is touchStart, touchMove or touchEnd."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    return touch


def test_nothing_reaches_over_the_edge_and_everything_can_be_hit(phone: Page, site: Site) -> None:
    phone.goto(site.url)
    assert phone.evaluate(OUTSIDE) == []
    expect(phone.get_by_role("button", name="Generate")).to_be_in_viewport(ratio=1)
    make(phone, site, "a ring with a long name " * 8)
    settled(phone)
    assert phone.evaluate(OUTSIDE) == []
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    phone.set_viewport_size({"width": 320, "height": 568})
    assert phone.evaluate(OUTSIDE) == []
    phone.set_viewport_size({"width": 360, "height": 740})
    small = phone.locator("button:visible, summary:visible, .segments label:visible").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().height < 32).map(e => e.outerHTML)"
    )
    assert small == []


def test_the_shape_is_seen_without_scrolling(phone: Page, site: Site) -> None:
    make(phone, site)
    settled(phone)
    stage = phone.locator("#stage").bounding_box()
    assert stage is not None
    assert stage["y"] >= 0
    assert stage["y"] + stage["height"] < 740
    assert drawn(picture(phone)).mean() > 0.03


def test_every_format_is_in_reach(phone: Page, site: Site) -> None:
    make(phone, site)
    phone.locator("#download summary").tap()
    expect(phone.locator("[data-format=glb]")).to_be_in_viewport(ratio=1)
    menu = phone.locator("#download ul").bounding_box()
    assert menu is not None
    assert menu["y"] >= 0
    assert menu["y"] + menu["height"] <= 740
    for button in phone.locator("#download [data-format]").all():
        button.scroll_into_view_if_needed()  # the menu's list, not the page
        expect(button).to_be_in_viewport(ratio=1)
    assert phone.evaluate("scrollY") == 0
    phone.locator("[data-format=glb]").scroll_into_view_if_needed()
    with phone.expect_download() as download:
        phone.locator("[data-format=glb]").tap()
    assert download.value.suggested_filename.endswith(".glb")


def test_one_finger_turns_and_two_zoom(phone: Page, site: Site) -> None:
    make(phone, site)
    phone.get_by_role("button", name="Reset the view").tap()
    settled(phone)
    start = picture(phone)
    touch = fingers(phone)
    touch("touchStart", (180, 260))
    touch("touchMove", (240, 260))
    touch("touchEnd")
    settled(phone)
    turned = picture(phone)
    assert difference(start, turned) > 0.01
    assert phone.evaluate("scrollY") == 0
    touch("touchStart", (160, 260), (200, 260))
    touch("touchMove", (130, 260), (230, 260))
    touch("touchEnd")
    settled(phone)
    assert drawn(picture(phone)).sum() > 1.2 * drawn(turned).sum()


def test_every_control_of_a_variation_fits_and_the_variants_leave_the_text_free(
    phone: Page, site: Site, ball: Shape
) -> None:
    site.replay.result = ball
    make(phone, site)
    phone.get_by_role("button", name="Vary…").tap()
    phone.get_by_text("Change only a box").tap()
    phone.get_by_text("More settings").tap()
    phone.get_by_role("radiogroup", name="Quality").get_by_text("Draft").tap()
    phone.get_by_role("radiogroup", name="Variants").get_by_text("4").tap()
    assert phone.evaluate(OUTSIDE) == []
    phone.get_by_role("button", name="Vary", exact=True).tap()
    finished(phone)
    assert phone.evaluate(OUTSIDE) == []
    right = phone.evaluate(RIGHT, "#facts-text")
    for variant in phone.locator("#made button").all():
        variant.tap()
        expect(variant).to_have_attribute("aria-current", "true")
        box = variant.bounding_box()
        assert box is not None
        assert right <= box["x"]


def test_an_error_is_seen_where_there_was_nothing_yet(phone: Page, site: Site) -> None:
    site.replay.errors = [(503, {"error": "Out of memory.", "code": "out_of_memory", "retryable": True}, {})]
    phone.goto(site.url)
    phone.get_by_label("Prompt").fill("a ring")
    phone.get_by_role("button", name="Generate").tap()
    expect(phone.get_by_text("Out of memory.")).to_be_in_viewport(ratio=1)
    expect(phone.get_by_role("button", name="Try again")).to_be_in_viewport(ratio=1)
    phone.get_by_role("button", name="Try again").tap()
    finished(phone)
