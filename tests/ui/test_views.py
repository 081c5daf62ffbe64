"""The views beside voxels: the surface that files of meshes hold, with its wires, and the axes with their lengths."""

from __future__ import annotations

import json
import re
import struct

import numpy as np
from playwright.sync_api import Page, Route, expect

from formats import FORMATS, file_of
from models.shape import Shape
from tests.support.page import Site, finished, make, settled
from tests.support.pictures import difference, drawn, picture


def glb_of(shape: Shape) -> bytes:
    return file_of(next(each for each in FORMATS if each.name == "glb"), shape, "test").content


def triangles(glb: bytes) -> int:
    (length,) = struct.unpack_from("<I", glb, 12)
    tree = json.loads(glb[20 : 20 + length])
    return tree["accessors"][tree["meshes"][0]["primitives"][0]["indices"]]["count"] // 3


def choose(page: Page, name: str) -> None:
    page.locator(".segments label", has_text=name).click()


def test_the_surface_is_that_of_the_file_and_has_its_colours(page: Page, site: Site) -> None:
    make(page, site)
    settled(page)
    voxels = picture(page)
    expect(page.get_by_role("button", name="Wireframe")).to_be_hidden()
    choose(page, "Surface")
    glb = glb_of(site.replay.result)
    expect(page.locator("#live")).to_have_text(f"The surface has {triangles(glb):,} triangles.")
    settled(page)
    surface = picture(page)
    expect(page.get_by_role("radiogroup", name="Level of detail")).to_be_hidden()
    assert difference(voxels, surface) > 0.02
    one, other = drawn(voxels), drawn(surface)
    assert (one & other).sum() > 0.9 * (one | other).sum(), "it does not lie where the voxels lie"
    mean = surface[other].mean(axis=0)
    assert mean[0] > mean[2], "it has not the colours of the file, which are warm"
    page.get_by_role("button", name="Wireframe").click()
    settled(page)
    assert difference(surface, picture(page)) > 0.02
    choose(page, "Voxels")
    settled(page)
    assert difference(voxels, picture(page)) < 0.002
    size = len(glb)
    shown = f"{size / 1000:.0f} kB" if size < 1e6 else rf"{size / 1e6:.1f} MB"
    expect(page.locator("#download [data-format=glb] small")).to_have_text(shown)


def test_the_next_shape_is_shown_as_a_surface_too(page: Page, site: Site, ball: Shape) -> None:
    make(page, site)
    choose(page, "Surface")
    expect(page.locator("#live")).to_contain_text("triangles")
    settled(page)
    ring = picture(page)
    site.replay.result = ball
    page.get_by_role("button", name="Again").click()
    finished(page)
    expect(page.locator("#live")).to_have_text(f"The surface has {triangles(glb_of(ball)):,} triangles.")
    settled(page)
    assert difference(ring, picture(page)) > 0.05


def test_a_surface_that_comes_late_is_not_laid_over_another_shape(page: Page, site: Site, ball: Shape) -> None:
    make(page, site)
    waiting: list[Route] = []
    page.route("**/generate?format=glb", lambda route: waiting.append(route))
    with page.expect_request("**/generate?format=glb"):
        choose(page, "Surface")
    site.replay.result, site.replay.held = ball, True
    page.get_by_role("button", name="Again").click()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    settled(page)
    coming = picture(page)
    with page.expect_response("**/generate?format=glb"):
        waiting[0].continue_()
    settled(page)
    assert difference(coming, picture(page)) < 0.002
    page.unroute("**/generate?format=glb")
    site.replay.held = False
    finished(page)
    expect(page.locator("#live")).to_have_text(f"The surface has {triangles(glb_of(ball)):,} triangles.")


def test_without_a_surface_the_voxels_stay_and_the_reason_is_told(page: Page, site: Site) -> None:
    make(page, site)
    site.replay.errors = [(422, {"error": "It is too large.", "code": "unfit_shape", "retryable": False}, {})]
    choose(page, "Surface")
    expect(page.locator("#problem-text")).to_have_text("It is too large.")
    expect(page.get_by_role("radio", name="Voxels")).to_be_checked()
    page.get_by_role("button", name="Close").click()
    choose(page, "Surface")
    expect(page.locator("#live")).to_contain_text("triangles")


def test_the_axes_tell_the_lengths_in_blocks_and_millimetres(page: Page, site: Site) -> None:
    make(page, site)
    settled(page)
    plain = picture(page)
    button = page.get_by_role("button", name="Axes and lengths")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    fine = site.replay.result.fine
    assert fine is not None
    sides = np.ptp(fine.ijk.astype(int), axis=0) + 1
    for name, side in zip("xyz", sides, strict=True):
        expect(page.locator(f".axis.{name}")).to_have_text(f"{name} {side} · {round(100 * side / sides.max())} mm")
        expect(page.locator(f".axis.{name}")).to_be_in_viewport()
    settled(page)
    assert difference(plain, picture(page)) > 0.003
    before = page.locator(".axis.x").bounding_box()
    page.locator("#view").press("ArrowLeft")
    settled(page)
    assert page.locator(".axis.x").bounding_box() != before, "the text does not go with its axis"
    button.click()
    expect(page.locator(".axis.x")).to_be_hidden()


def test_what_is_for_later_is_not_fetched_before_it_is_used(page: Page, site: Site) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    make(page, site)
    assert [url for url in fetched if re.search("/later/", url)] == []
    page.get_by_role("button", name="Axes and lengths").click()
    expect(page.locator(".axis.x")).to_be_visible()
    assert [url.rsplit("/", 1)[1] for url in fetched if "/later/" in url] == ["marks.js"]
