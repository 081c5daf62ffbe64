"""Sizes in the download menu, before a file is made: how close they come, and when they are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from formats import FORMATS, file_of
from formats.json_text import write_json
from models.shape import Shape, Voxels
from tests.support.page import Site, finished, make
from tests.support.solids import shell, sphere, torus

CLOSE = {
    "nvdb": 0, "ply": 0.01, "glb-points": 0.01, "vox": 0.01, "usdz": 0.02, "glb": 0.02, "stl": 0.02, "obj": 0.03,
    "npz": 0.04, "bcf": 0.07, "json": 0.07, "nbt": 0.08, "3mf": 0.1, "csm": 0.1, "report": 0.25,
    "schem": 0.35, "schem-v3": 0.35, "litematic": 0.35,
}  # fmt: skip
"""How far from the file's size the number may be, as a share of it. What gzip makes of these solids, which are more
regular than what models make, is harder to foretell."""
UNTOLD = {"png", "glb-blocks"}


def in_rows(voxels: Voxels, kept: NDArray[np.bool_] | None = None) -> Voxels:
    """The voxels, or some of them, row by row in memory as those of models are, which NPZ keeps."""
    chosen = np.ones(len(voxels), bool) if kept is None else kept
    return Voxels(np.ascontiguousarray(voxels.ijk[chosen]), voxels.normal[chosen], voxels.voxel_size)


RING, BALL = (in_rows(shell(solid, 64)) for solid in (torus(0.3, 0.12), sphere(0.4)))
SHAPES = {
    "ring": Shape(in_rows(shell(torus(0.3, 0.12), 32)), RING, 5, prompt="a ring"),
    "ball": Shape(BALL, None, 5, prompt="a ball"),
    "bowl": Shape(in_rows(BALL, BALL.ijk[:, 1] < 5), None, 5, prompt="a bowl"),
}


def foretold(page: Page, site: Site, shape: Shape) -> dict[str, float]:
    page.goto(site.url)
    sizes: dict[str, float] = page.evaluate(
        """async (text) => {
            const { shapesOf } = await import('./shapes.js');
            const worker = new Worker('later/sizes.js', { type: 'module' });
            const told = new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data.sizes)));
            worker.postMessage({ number: 1, shapes: await shapesOf(text), surface: undefined });
            return told;
        }""",
        write_json(shape).decode(),
    )
    return sizes


def test_every_format_is_foretold_but_two(page: Page, site: Site, ball: Shape) -> None:
    assert set(foretold(page, site, ball)) == set(CLOSE) == {format_.name for format_ in FORMATS} - UNTOLD


@pytest.mark.parametrize("name", SHAPES)
def test_sizes_come_close_to_those_of_the_files(name: str, page: Page, site: Site) -> None:
    sizes = foretold(page, site, SHAPES[name])
    for format_ in (each for each in FORMATS if each.name not in UNTOLD):
        size = len(file_of(format_, SHAPES[name], "0.1.0").content)
        assert abs(sizes[format_.name] - size) <= CLOSE[format_.name] * size + 300, (format_.name, sizes, size)


def test_a_shape_with_holes_has_an_inside_where_the_file_has_one(page: Page, site: Site) -> None:
    shape = Shape(in_rows(BALL, np.random.default_rng(0).random(len(BALL)) > 0.05), None, 5)
    (stl,) = (format_ for format_ in FORMATS if format_.name == "stl")
    size = len(file_of(stl, shape, "1").content)
    assert foretold(page, site, shape)["stl"] == pytest.approx(size, rel=0.02)


def test_they_stand_in_the_menu_as_soon_as_it_is_open_and_say_about(page: Page, site: Site) -> None:
    make(page, site)
    expect(page.locator("#download small")).to_have_count(0)
    page.locator("#download summary").press("Enter")
    expect(page.locator("#download small")).to_have_count(len(FORMATS) - len(UNTOLD))
    told = page.locator("#download [data-format=usdz] small")
    size = len(file_of(next(each for each in FORMATS if each.name == "usdz"), site.replay.result, "test").content)
    text = told.text_content() or ""
    assert text.startswith("about ")
    assert text.endswith(" kB" if size < 1e6 else " MB")
    assert float(text[6:-3]) * (1e3 if size < 1e6 else 1e6) == pytest.approx(size, rel=0.05)
    fog = len(file_of(next(each for each in FORMATS if each.name == "nvdb"), site.replay.result, "test").content)
    expect(page.locator("#download [data-format=nvdb] small")).to_have_text(f"{fog / 1e6:.1f} MB")
    page.locator(".segments label", has_text="Surface").click()
    expect(page.locator("#live")).to_contain_text("triangles")
    page.locator("#download summary").click()
    expect(page.locator("#download [data-format=stl] small")).not_to_contain_text("about")


def test_a_file_that_was_made_has_its_own_size_until_the_next_shape(page: Page, site: Site, tmp_path: Path) -> None:
    make(page, site, "a ring in a box")
    page.locator("#download summary").click()
    npz = page.locator("#download [data-format=npz] small")
    expect(npz).to_contain_text("about")
    with page.expect_download() as download:
        page.locator("#download [data-format=npz]").click()
    download.value.save_as(tmp_path / "ring.npz")
    size = round((tmp_path / "ring.npz").stat().st_size / 1000)
    assert size >= 10
    expect(page.locator("#live")).to_have_text(f"The file is ready: {size} kB.")
    expect(npz).to_have_text(f"{size} kB")
    page.get_by_role("button", name="Again").click()
    finished(page)
    expect(page.locator("#download small")).to_have_count(0)
    page.locator("#download summary").click()
    expect(npz).to_contain_text("about")
