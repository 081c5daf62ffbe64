"""The page in front of the real service, with tiny models of random weights."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh
from playwright.sync_api import Browser, Page, expect

from models.shape import Shape
from tests.support.page import Site, finished, new_page, settled
from tests.support.pictures import difference, drawn, picture
from tests.support.replay import Replay
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")


@pytest.fixture
def page(browser: Browser, server: Server, result: Shape) -> Iterator[Page]:
    site = Site(server.url + "/", Replay(result))
    context = browser.new_context(reduced_motion="reduce", accept_downloads=True)
    yield new_page(context, site)
    context.close()
    assert site.complaints == []


def test_a_person_makes_a_shape_turns_it_and_takes_it_away(page: Page, server: Server, tmp_path: Path) -> None:
    page.goto(server.url)
    assert page.url == server.url + "/ui/"
    expect(page.locator("#health")).to_have_text("Ready")
    page.get_by_label("Prompt").fill("a chair")
    page.get_by_label("Steps").fill("5")
    page.get_by_label("Seed", exact=True).fill("18446744073709551615")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    settled(page)
    image = picture(page)
    # Random weights make a thin cloud.
    assert drawn(image).mean() > 0.003
    page.locator("#view").press("ArrowLeft")
    settled(page)
    assert difference(image, picture(page)) > 0.003

    body = {"prompt": "a chair", "ddim_steps": 5, "seed": 2**64 - 1}
    answer = server.post("/generate", json=body).json()
    expect(page.locator("#facts-text")).to_contain_text(f"{len(answer['fine_xyz']):,} voxels · seed {2**64 - 1}")
    files = {}
    for name in ("glb", "npz", "json"):
        page.locator("#download summary").click()
        with page.expect_download() as download:
            page.locator(f"#download [data-format={name}]").click()
        download.value.save_as(tmp_path / f"shape.{name}")
        files[name] = (tmp_path / f"shape.{name}").read_bytes()
    again = server.post("/generate?format=ply", json=body)
    assert again.headers["X-Seed"] == str(2**64 - 1)
    assert "coarse" not in again.headers["Server-Timing"], "the shape was made anew"
    anew = server.post("/generate", json=body, headers={"Cache-Control": "no-cache"})
    assert "coarse" in anew.headers["Server-Timing"]
    assert files["json"] == anew.content
    assert trimesh.load(io.BytesIO(files["glb"]), file_type="glb", force="mesh").is_watertight
    with np.load(io.BytesIO(files["npz"])) as arrays:
        xyz = (arrays["fine_ijk"] + 0.5) * arrays["fine_voxel_size"]
    np.testing.assert_allclose(xyz, answer["fine_xyz"], atol=1e-6)


def test_a_request_that_the_service_refuses_is_told(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/#prompt=a+chair&steps=5")
    finished(page)
    page.route("**/generate?*", lambda route: route.continue_(post_data='{"prompt": ""}'))
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem-title")).to_have_text("That can't be done")
    expect(page.locator("#problem-text")).to_contain_text("prompt")


def test_a_shape_is_varied_and_a_file_of_it_is_refined(page: Page, server: Server, tmp_path: Path) -> None:
    page.goto(server.url)
    page.get_by_label("Prompt").fill("a chair")
    page.get_by_label("Steps").fill("5")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    page.locator("#download summary").click()
    with page.expect_download() as download:
        page.locator("#download [data-format=vox]").click()
    download.value.save_as(tmp_path / "chair.vox")
    page.get_by_role("button", name="Vary…").click()
    page.get_by_role("switch", name="Change only a box").check()
    page.get_by_role("radiogroup", name="Variants").get_by_text("2").click()
    page.get_by_role("button", name="Vary", exact=True).click()
    expect(page.locator("#facts-text")).to_contain_text("varied by 0.5 in a box")
    finished(page)
    expect(page.locator("#made button")).to_have_count(2)
    page.locator("#file").set_input_files(tmp_path / "chair.vox")
    page.get_by_role("button", name="Refine", exact=True).click()
    expect(page.locator("#facts-text")).to_contain_text("from chair.vox")
    finished(page)


def test_a_file_that_cannot_be_refined_is_told_in_the_words_of_the_service(
    page: Page, tmp_path: Path, server: Server
) -> None:
    (tmp_path / "broken.glb").write_bytes(b"no mesh")
    page.goto(server.url)
    page.get_by_label("Prompt").fill("a chair")
    page.locator("#file").set_input_files(tmp_path / "broken.glb")
    page.get_by_role("button", name="Refine", exact=True).click()
    body = {"prompt": "a chair", "shape": {"file": "bm8gbWVzaA==", "format": "glb"}}
    expect(page.locator("#problem-text")).to_have_text(server.post("/refine", json=body).json()["error"])


def test_a_copied_link_shows_its_shape_to_people_and_a_picture_to_programs(
    page: Page, server: Server, browser: Browser
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(server.url)
    page.get_by_label("Prompt").fill("a chair & more")
    page.get_by_label("Steps").fill("5")
    for button, wait in (("Generate", "5 steps"), ("Vary", "varied by 0.5")):
        if button == "Vary":
            page.get_by_role("button", name="Vary…").click()
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.locator("#facts-text")).to_contain_text(wait)
        finished(page)
        page.get_by_role("button", name="Copy link").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        link = page.evaluate("navigator.clipboard.readText()")
        text = server.get(link.removeprefix(server.url)).text
        found = re.search(r'property="og:image" content="([^"]*)"', text)
        assert found
        place = html.unescape(found[1])
        assert place.startswith(f"{server.url}/ui/picture.png?")
        drawn_by_service = server.get(place.removeprefix(server.url))
        assert drawn_by_service.headers["Content-Type"] == "image/png"
        facts = page.locator("#facts-text").text_content() or ""
    other = browser.new_context()
    guest = other.new_page()
    guest.goto(link)
    expect(guest.locator("#caption")).to_have_text("a chair & more")
    expect(guest.locator("#facts-text")).to_contain_text(facts.rpartition(" · ")[0])
    assert "?" not in guest.url
    other.close()
