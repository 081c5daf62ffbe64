"""What a shape starts from: a file that is refined, or an earlier shape that is varied, as a whole or in a box."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from formats.given import KINDS
from models.shape import Shape
from tests.support.page import Site, drop, finished, make, settled
from tests.support.pictures import difference, picture
from tests.support.replay import SEED


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


def test_the_page_takes_the_files_that_the_service_refines(page: Page, site: Site) -> None:
    page.goto(site.url)
    assert page.locator("#file").get_attribute("accept") == ",".join(f".{kind}" for kind in KINDS)


def test_a_chosen_file_is_refined_with_the_prompt(page: Page, site: Site, tmp_path: Path) -> None:
    (tmp_path / "house.vox").write_bytes(b"voxels of a house")
    page.goto(site.url)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Refine a file").click()
    chooser.value.set_files(tmp_path / "house.vox")
    expect(page.locator("#source-name")).to_have_text("house.vox")
    expect(page.get_by_label("Prompt")).to_be_focused()
    expect(page.get_by_label("Guidance", exact=True)).to_be_hidden()
    page.get_by_label("Up in the file").select_option("y")
    page.keyboard.press("Escape")
    page.get_by_label("Prompt").fill("a ball")
    page.get_by_role("button", name="Refine", exact=True).click()
    finished(page)
    assert site.replay.paths == ["/refine"]
    asked = json.loads(site.replay.requests[0])
    assert asked["shape"] == {
        "file": base64.b64encode(b"voxels of a house").decode(), "format": "vox", "up": "y",
    }  # fmt: skip
    assert asked["prompt"] == "a ball"
    expect(page.locator("#facts-text")).to_contain_text("from house.vox")
    expect(page.get_by_role("button", name="Vary…")).to_be_hidden()
    page.locator("#download summary").click()
    with page.expect_download():
        page.locator("#download [data-format=ply]").click()
    assert site.replay.paths == ["/refine", "/refine"]
    assert json.loads(site.replay.requests[1])["shape"] == asked["shape"]


def test_a_dropped_file_survives_a_reload_and_can_be_put_away(page: Page, site: Site) -> None:
    page.goto(site.url)
    drop(page, "mug.PLY")
    expect(page.locator("#source-name")).to_have_text("mug.PLY")
    page.reload()
    expect(page.locator("#source-name")).to_have_text("mug.PLY")
    page.get_by_label("Prompt").fill("a mug")
    page.get_by_role("button", name="Refine", exact=True).click()
    finished(page)
    assert json.loads(site.replay.requests[0])["shape"] == {
        "file": base64.b64encode(b"voxels").decode(),
        "format": "ply",
    }
    page.get_by_role("button", name="Start from nothing").click()
    expect(page.get_by_role("button", name="Refine a file")).to_be_focused()
    page.get_by_role("button", name="Generate").click()
    finished(page)
    assert site.replay.paths == ["/refine", "/generate"]


def test_a_reload_while_a_file_is_refined_goes_on_with_that_file(page: Page, site: Site) -> None:
    site.replay.held = True
    page.goto(site.url)
    drop(page, "mug.ply")
    expect(page.locator("#live")).to_have_text("The next shape is refined from mug.ply.")
    page.get_by_label("Prompt").fill("a mug")
    page.get_by_role("button", name="Refine", exact=True).click()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    page.reload()
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    site.replay.held = False
    finished(page)
    assert site.replay.paths == ["/refine", "/refine"]
    first, again = (json.loads(body) for body in site.replay.requests)
    assert again == {**first, "seed": int(SEED)}


def test_files_are_forgotten_with_the_history(page: Page, site: Site) -> None:
    page.goto(site.url)
    drop(page, "mug.ply")
    page.get_by_label("Prompt").fill("a mug")
    page.get_by_role("button", name="Refine", exact=True).click()
    finished(page)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#history")).to_be_hidden()
    page.reload()
    expect(page.locator("#problem-text")).to_have_text("The file mug.ply is not here any more: choose it again.")


def test_a_file_of_another_kind_is_refused_at_once(page: Page, site: Site) -> None:
    page.goto(site.url)
    drop(page, "notes.txt")
    expect(page.locator("#problem-text")).to_contain_text("notes.txt can't be refined")
    expect(page.locator("#source")).to_be_hidden()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#welcome")).to_be_visible()


def test_what_the_service_says_of_a_file_is_shown(page: Page, site: Site) -> None:
    told = "The shape has no voxel: send at least one."
    site.replay.errors = [(400, {"error": told, "code": "invalid_request", "retryable": False}, {})]
    page.goto(site.url)
    drop(page, "empty.vox")
    page.get_by_label("Prompt").fill("a mug")
    page.get_by_role("button", name="Refine", exact=True).click()
    expect(page.locator("#problem-text")).to_have_text(told)
    expect(page.get_by_role("button", name="Refine", exact=True)).to_be_enabled()


def test_a_shape_is_varied_with_the_strength_and_in_the_box_that_were_set(page: Page, site: Site) -> None:
    make(page, site, "a ball")
    settled(page)
    plain = picture(page)
    page.get_by_role("button", name="Vary…").click()
    expect(page.get_by_label("Strength")).to_be_focused()
    page.get_by_label("Strength").fill("0.3")
    page.get_by_role("switch", name="Change only a box").check()
    settled(page)
    boxed = picture(page)
    assert difference(plain, boxed) > 0.003, "the box is not drawn"
    for name, value in (("y from", "0"), ("x to", "0.125"), ("z to", "-0.5")):
        page.get_by_role("group", name="Limits of the box").get_by_label(name, exact=True).fill(value)
    settled(page)
    assert difference(boxed, picture(page)) > 0.003, "the box does not follow its limits"
    page.get_by_label("Prompt").fill("a dented ball")
    page.get_by_role("button", name="Vary", exact=True).click()
    finished(page)
    first, asked = (json.loads(body) for body in site.replay.requests)
    assert site.replay.paths == ["/generate", "/variations"]
    assert asked["of"] == {"request": {**first, "seed": int(SEED)}}
    assert f'"seed":{SEED}' in site.replay.requests[1].decode(), "a seed of 64 bits was rounded"
    assert (asked["prompt"], asked["strength"]) == ("a dented ball", 0.3)
    assert "seed" not in asked, "the seed of the shape itself would give much of the same noise"
    assert asked["box"] == [[-0.40625, 0, -0.5], [0.125, 0.40625, -0.46875]]
    expect(page.locator("#facts-text")).to_contain_text("varied by 0.3 in a box")
    page.get_by_role("button", name="Start from nothing").click()
    settled(page)
    assert difference(plain, picture(page)) < 0.003, "the box is still drawn"


def test_a_variation_does_not_take_the_seed_of_its_shape(page: Page, site: Site) -> None:
    make(page, site, "a ball")
    page.get_by_role("button", name="Vary…").click()
    page.get_by_label("Seed", exact=True).fill(SEED)
    page.get_by_role("button", name="Vary", exact=True).click()
    expect(page.locator("#seed-fault")).to_have_text("Take another seed than the shape's own, or none.")
    assert len(site.replay.requests) == 1


def test_a_link_to_a_variation_makes_its_shape_first_where_nobody_has_it(page: Page, site: Site) -> None:
    of = "prompt%3Da%2Bball%26seed%3D4%26steps%3D20"
    site.replay.forgotten = True
    page.goto(f"{site.url}ui/#prompt=a+dented+ball&seed=5&strength=0.4&of={of}")
    finished(page)
    assert site.replay.paths == ["/variations", "/generate", "/variations"]
    origin = {"prompt": "a ball", "ddim_steps": 20, "guidance_scale": 7.5, "use_fine": True, "seed": 4}
    assert json.loads(site.replay.requests[1]) == origin
    assert json.loads(site.replay.requests[2])["of"] == {"request": origin}
    assert json.loads(site.replay.requests[2])["box"] is None
    expect(page.locator("#caption")).to_have_text("a dented ball")
    site.replay.forgotten = True
    page.locator("#download summary").click()
    with page.expect_download():
        page.locator("#download [data-format=ply]").click()
    assert site.replay.paths[3:] == ["/variations", "/generate", "/variations"]
    page.get_by_role("button", name="Vary…").click()
    expect(page.locator("#source-name")).to_have_text("a ball, seed 4")


def test_a_link_to_a_refined_file_says_that_the_file_is_missing(page: Page, site: Site) -> None:
    page.goto(f"{site.url}ui/#prompt=a+ball&seed=5&file=abc&name=ball.vox&format=vox")
    expect(page.locator("#problem-text")).to_have_text("The file ball.vox is not here any more: choose it again.")
    assert site.replay.requests == []
