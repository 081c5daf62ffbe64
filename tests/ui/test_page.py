"""A person at the page: makes a shape, turns it, takes it away. In a real Chromium."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from playwright.sync_api import Browser, Page, expect

from formats import FORMATS, file_of
from models.shape import Shape
from tests.support.page import Site, finished, listen, make, new_page, settled
from tests.support.pictures import difference, drawn, picture
from tests.support.replay import SEED


def test_a_browser_at_the_root_gets_the_page_and_an_example_fills_the_prompt(page: Page, site: Site) -> None:
    page.goto(site.url)
    assert page.url == f"{site.url}ui/"
    expect(page.get_by_role("status").first).to_have_text("Ready")
    page.get_by_role("button", name="a tall chair").click()
    expect(page.get_by_label("Prompt")).to_have_value("a tall chair")


def test_each_pictured_example_starts_its_shape(page: Page, site: Site) -> None:
    page.goto(site.url)
    pictures = page.locator("#gallery img")
    expect(pictures).to_have_count(6)
    assert pictures.evaluate_all("all => all.every(i => i.complete && i.naturalWidth > 0)")
    link = page.get_by_role("link", name="a mug with a handle")
    link.click()
    finished(page)
    expect(page.get_by_role("heading", name="a mug with a handle")).to_be_visible()
    expect(page.locator("#gallery")).to_be_hidden()
    asked = json.loads(site.replay.requests[-1])
    assert asked == {
        "prompt": "a mug with a handle", "ddim_steps": 50, "guidance_scale": 7.5, "use_fine": True, "seed": 2,
    }  # fmt: skip


def test_the_coarse_shape_comes_first_and_the_fine_one_stands_in_the_middle(page: Page, site: Site) -> None:
    site.replay.held = True
    page.goto(site.url)
    said = listen(page)
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_label("Prompt").press("Enter")
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    settled(page)
    coarse = picture(page)
    site.replay.held = False
    finished(page)
    settled(page)
    fine = picture(page)
    assert said() == ["Generating", "Waiting, place 2 in the queue", "Coarse shape", "Fine detail", "Drawing"]
    assert said("#progress-time")[0] == "4 s left"
    for image in (coarse, fine):
        rows, columns = np.nonzero(drawn(image))
        height, width = image.shape[:2]
        assert 0.05 < len(rows) / (height * width) < 0.6
        assert abs(rows.mean() / height - 0.5) < 0.1
        assert abs(columns.mean() / width - 0.5) < 0.05
    assert difference(coarse, fine) > 0.01
    assert len(np.unique(fine[drawn(fine)].astype(int) // 16, axis=0)) > 5, "the shape is not shaded"
    expect(page.locator("#facts-text")).to_contain_text(f"{len(site.replay.result.fine or ()):,} voxels · seed {SEED}")
    expect(page.locator("#live")).to_contain_text("Done")


def test_what_a_shape_becomes_is_seen_while_it_is_made(page: Page, site: Site, ball: Shape) -> None:
    site.replay.preview = ball.coarse
    site.replay.early = site.replay.held = True
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    settled(page)
    early = picture(page)
    assert drawn(early).mean() > 0.03
    site.replay.early = False
    expect(page.locator("#live")).to_have_text("The coarse shape is there.")
    settled(page)
    assert difference(early, picture(page)) > 0.01
    site.replay.held = False
    finished(page)


def test_a_service_that_does_not_stream_is_understood_too(page: Page, site: Site, ball: Shape) -> None:
    site.replay.streams = False
    site.replay.result = ball
    make(page, site)
    expect(page.locator("#facts-text")).to_contain_text(f"{len(ball.coarse):,} voxels")
    expect(page.get_by_role("radiogroup", name="Level of detail")).to_be_hidden()


@pytest.mark.parametrize("streams", [True, False])
def test_what_is_worth_knowing_is_told_below_the_shape(page: Page, site: Site, ball: Shape, streams: bool) -> None:
    site.replay.streams = streams
    site.replay.result = replace(ball, warnings=("The prompt was cut.", "There is no fine model."))
    make(page, site)
    expect(page.locator("#warning")).to_have_text("The prompt was cut.; There is no fine model.")


def test_modes_and_levels_show_the_shape_differently(page: Page, site: Site) -> None:
    make(page, site)
    seen = {}
    for name in ("Voxels", "Points", "Normals", "Coarse"):
        page.locator(".segments label", has_text=name).click()
        settled(page)
        seen[name] = picture(page)
        assert drawn(seen[name]).mean() > 0.02, name
    for one, other in (("Voxels", "Points"), ("Voxels", "Normals"), ("Points", "Normals"), ("Normals", "Coarse")):
        assert difference(seen[one], seen[other]) > 0.02, (one, other)
    colours = seen["Normals"][drawn(seen["Normals"])]
    assert (colours.max(axis=1) - colours.min(axis=1)).mean() > 60


def test_mouse_and_keys_turn_and_zoom_and_reset_brings_the_view_back(page: Page, site: Site) -> None:
    make(page, site)
    # The first view was made for the coarse shape, which is a little larger.
    page.get_by_role("button", name="Reset the view").click()
    settled(page)
    start = picture(page)
    view = page.locator("#view")
    view.focus()
    view.press("ArrowLeft")
    settled(page)
    turned = picture(page)
    assert difference(start, turned) > 0.01
    view.press("+")
    view.press("+")
    settled(page)
    assert drawn(picture(page)).sum() > 1.2 * drawn(turned).sum()
    page.get_by_role("button", name="Reset the view").click()
    settled(page)
    assert difference(start, picture(page)) < 0.002
    page.mouse.move(800, 400)
    page.mouse.down()
    page.mouse.move(700, 380, steps=3)
    page.mouse.up()
    settled(page)
    assert difference(start, picture(page)) > 0.01


def test_every_format_can_be_downloaded_and_is_the_file_of_this_shape(page: Page, site: Site, tmp_path: Path) -> None:
    make(page, site, "A ring, with a stone!")
    offered = page.locator("#download button").evaluate_all("all => all.map(b => b.dataset.format)")
    names = page.locator("#download b").all_text_contents()
    assert len(set(names)) == len(names) == len(offered)
    assert sorted(offered) == sorted(format_.name for format_ in FORMATS)
    for format_ in (each for each in FORMATS if each.name != "png"):  # the page draws its own
        page.locator("#download summary").click()
        with page.expect_download() as download:
            page.locator(f"#download [data-format='{format_.name}']").click()
        _, dash, kind = ("json-report" if format_.name == "report" else format_.name).partition("-")
        assert download.value.suggested_filename == f"a-ring-with-a-stone-{SEED}{dash}{kind}{format_.suffix}"
        download.value.save_as(tmp_path / format_.name)
        assert (tmp_path / format_.name).read_bytes() == file_of(format_, site.replay.result, "test").content
        asked = site.replay.requests[-1].decode()
        assert asked.endswith(f'"seed":{SEED}}}')
    (tmp_path / "glb").rename(tmp_path / "ring.glb")
    ring = trimesh.load(tmp_path / "ring.glb", force="mesh")
    assert ring.is_watertight
    assert ring.euler_number == 0


def test_every_format_is_in_reach_in_a_low_window(page: Page, site: Site, ball: Shape) -> None:
    site.replay.result = ball
    page.set_viewport_size({"width": 700, "height": 600})
    make(page, site)
    page.locator("#download summary").click()
    for button in (page.locator("#download button").first, page.locator("#download button").last):
        button.click(trial=True)  # scrolls the menu's list, and fails where something lies over it


def test_a_picture_can_be_downloaded(page: Page, site: Site, tmp_path: Path) -> None:
    make(page, site)
    page.locator("#download summary").click()
    with page.expect_download() as download:
        page.locator("#download [data-format=png]").click()
    download.value.save_as(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_link_reproduces_a_shape_in_another_browser(page: Page, site: Site, browser: Browser) -> None:
    page.goto(site.url)
    page.get_by_label("Steps").fill("40")
    page.get_by_role("switch").uncheck()
    make_link = page.get_by_label("Prompt")
    make_link.fill("a ring & <b>more</b>")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    first = json.loads(site.replay.requests[-1])
    link = page.url
    other = browser.new_context()
    guest = new_page(other, site)
    guest.goto(link)
    finished(guest)
    again = site.replay.requests[-1].decode()
    assert json.loads(again) == first | {"seed": int(SEED)}
    assert f'"seed":{SEED}' in again, "a seed of 64 bits was rounded"
    assert (first["ddim_steps"], first["use_fine"]) == (40, False)
    expect(guest.get_by_label("Prompt")).to_have_value("a ring & <b>more</b>")
    other.close()


def test_history_survives_a_reload_and_can_be_cleared(page: Page, site: Site) -> None:
    make(page, site, "a ring")
    make(page, site, "<img src=x onerror=alert(1)>")
    page.reload()
    finished(page)
    entries = page.locator("#history-list button")
    expect(entries).to_have_count(2)
    expect(entries.first).to_contain_text("<img src=x")
    expect(entries.first).to_have_attribute("aria-current", "true")
    assert entries.first.locator("img").evaluate("i => i.complete && i.naturalWidth") > 0
    entries.nth(1).click()
    expect(page.get_by_label("Prompt")).to_have_value("a ring")
    expect(entries.nth(1)).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#history")).to_be_hidden()


def test_the_dice_draws_seeds_that_every_client_can_send(page: Page, site: Site) -> None:
    page.goto(site.url)
    seeds = set()
    for _ in range(5):
        page.get_by_role("button", name="Pick a random seed").click()
        seeds.add(int(page.get_by_label("Seed", exact=True).input_value()))
    assert len(seeds) > 1
    assert all(0 <= seed < 2**31 for seed in seeds)
    page.get_by_role("button", name="Lock the seed").click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("")


def test_a_seed_that_the_service_would_refuse_is_refused_in_the_form(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ring")
    for seed in ("1.5", "abc", str(2**64), str(-(2**63) - 1), "007"):
        page.get_by_label("Seed", exact=True).fill("")
        expect(page.locator("#seed-fault")).to_be_hidden()
        page.get_by_label("Seed", exact=True).fill(seed)
        page.get_by_role("button", name="Generate").click()
        expect(page.locator("#seed-fault")).to_be_visible()
        expect(page.get_by_label("Seed", exact=True)).to_be_focused()
    assert site.replay.requests == []
