"""What the page makes of an answer before it draws: voxels, neighbours, light, and a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from formats.json_text import write_json
from models.shape import Shape, Voxels
from tests.support.page import Site, make, settled
from tests.support.pictures import picture

TORUS = Path(__file__).with_name("torus.png")


def lit(page: Page, site: Site, shape: Voxels) -> dict[str, Any]:
    """A shape with its light, as the page's worker makes it."""
    page.goto(site.url)
    text = page.evaluate(
        """async (text) => {
            const { shapesOf } = await import('./shapes.js');
            const { coarse: { size, index, normal, ground } } = await shapesOf(text);
            const { side, shade } = ground;
            return JSON.stringify({size, index: [...index], normal: [...normal], side, shade: [...shade]});
        }""",
        write_json(Shape(shape, None, 1)).decode(),
    )
    made: dict[str, Any] = json.loads(text)
    return made


def test_the_browser_finds_the_voxels_that_the_service_had(page: Page, site: Site, result: Shape) -> None:
    assert result.fine is not None
    made = lit(page, site, result.fine)
    index = np.array(made["index"]).reshape(-1, 4)
    np.testing.assert_array_equal(index[:, :3], result.fine.ijk)
    assert made["size"] == pytest.approx(result.fine.voxel_size)
    np.testing.assert_allclose(np.array(made["normal"]).reshape(-1, 4)[:, :3] / 127, result.fine.normal, atol=0.005)
    known = set(map(tuple, result.fine.ijk.tolist()))
    steps = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
    for (*voxel, bits), _ in zip(index.tolist(), range(500), strict=False):
        beside = [tuple(np.add(voxel, step).tolist()) in known for step in steps]
        assert bits & 63 == sum(taken << bit for bit, taken in enumerate(beside))


def test_a_roof_takes_the_light_from_what_is_under_it(page: Page, site: Site) -> None:
    square = [(i, k) for i in range(-10, 10) for k in range(-10, 10)]
    floor = [(i, -2, k) for i, k in square]
    roof = [(i, 2, k) for i, k in square if abs(i + 0.5) < 6 and abs(k + 0.5) < 6]
    ijk = np.array(sorted(floor + roof), np.int16)
    normal = np.tile(np.array([0, 1, 0], np.float32), (len(ijk), 1))
    made = lit(page, site, Voxels(ijk, normal, 1 / 32))
    sky = np.array(made["normal"]).reshape(-1, 4)[:, 3] / 127
    lamp = (np.array(made["index"]).reshape(-1, 4)[:, 3] >> 6) / 255
    above = ijk[:, 1] == 2
    middle = (ijk[:, 1] == -2) & (np.abs(ijk[:, [0, 2]] + 0.5) < 2).all(axis=1)
    assert (sky[above] > 0.97).all()
    assert (lamp[above] > 0.97).all()
    assert (sky[middle] < 0.5).all()
    assert lamp[~above].min() < 0.05, "the roof throws no shadow"
    assert lamp[~above].max() > 0.95, "the roof shades everything"
    ground = np.array(made["shade"]).reshape(made["side"], made["side"])
    centre = slice(made["side"] // 2 - 3, made["side"] // 2 + 3)
    assert ground[centre, centre].min() > 100
    assert ground[:, [0, -1]].max() == ground[[0, -1]].max() == 0, "the shadow ends in an edge"


def test_the_torus_looks_as_it_did(page: Page, site: Site, tmp_path: Path) -> None:
    make(page, site)
    page.get_by_role("button", name="Reset the view").click()
    settled(page)
    seen = Image.fromarray(picture(page).astype(np.uint8)).resize((110, 100), Image.Resampling.BOX)
    seen.save(tmp_path / "torus.png")
    far = np.abs(np.asarray(seen, float) - np.asarray(Image.open(TORUS).convert("RGB"), float))
    # Browsers and renderers smooth edges differently.
    assert far.mean() < 3, f"if the page is meant to look like {tmp_path / 'torus.png'}, copy it to {TORUS}"
    assert (far.max(axis=2) > 40).mean() < 0.02
