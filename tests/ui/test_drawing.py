"""How much is drawn: what is seen, and less while it turns where drawing is slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from formats.json_text import write_json
from models.shape import Shape, Voxels
from tests.support.page import Site
from tests.support.solids import shell, torus

SIDE = 20
VIEWER = """
    const { Viewer } = await import('./viewer.js');
    const { shapesOf } = await import('./shapes.js');
    const canvas = Object.assign(document.createElement('canvas'), {width: 400, height: 300});
    Object.assign(canvas.style, {position: 'fixed', width: '400px', height: '300px'});
    document.body.append(canvas);
    const viewer = new Viewer(canvas);
    const { coarse } = await shapesOf(await (await fetch('shape.json')).text());
    viewer.show(coarse);
    viewer.uniforms.grow.value = 1;
"""


def draw(page: Page, site: Site, shape: Voxels, script: str) -> Any:
    """What a script tells about a viewer that shows a shape."""
    page.goto(site.url)
    page.route("**/shape.json", lambda route: route.fulfill(body=write_json(Shape(shape, None, 1))))
    return page.evaluate(f"async () => {{ {VIEWER} {script} }}")


def test_faces_that_nobody_sees_are_not_drawn(page: Page, site: Site) -> None:
    ijk = np.stack(np.unravel_index(np.arange(SIDE**3), (SIDE,) * 3), axis=1).astype(np.int16) - SIDE // 2
    normal = np.tile(np.array([0, 1, 0], np.float32), (len(ijk), 1))
    drawn = draw(
        page, site, Voxels(ijk, normal, 1 / 32), "viewer.render(); return viewer.renderer.info.render.triangles;"
    )
    assert drawn == 2 * 3 * SIDE**2 + 2, "three sides of the cube, and the ground"


def test_two_hundred_thousand_voxels_are_little_work_for_the_page(page: Page, site: Site) -> None:
    shape = shell(torus(0.3, 0.12), 320)
    assert len(shape) > 200_000
    # The graphics card's part can't be measured without one: what is sent to it is looked at instead.
    work = draw(
        page, site, shape,
        """
        viewer.renderer.getContext().drawElements = () => {};
        const times = [];
        for (let n = 0; n < 10; n++) {
            const start = performance.now();
            viewer.move([0.01, 0], 1);
            viewer.render({pixels: 1, halvings: 0});
            times.push(performance.now() - start);
        }
        return {count: coarse.count, ms: Math.min(...times), ...viewer.renderer.info.render};
        """,
    )  # fmt: skip
    assert work["count"] == len(shape)
    assert work["calls"] <= 6
    assert work["triangles"] < 4 * len(shape)
    assert work["ms"] < 1000 / 60


@pytest.mark.parametrize("slow", [True, False])
def test_a_slow_picture_leaves_out_much_while_it_turns_and_nothing_at_rest(page: Page, site: Site, slow: bool) -> None:
    told = draw(
        page, site, shell(torus(0.3, 0.12), 64),
        f"""
        const rest = () => new Promise((resolve) => setTimeout(resolve, 600));
        const facts = () => [canvas.width, viewer.renderer.info.render.triangles, canvas.dataset.detail];
        await rest();
        viewer.ease.forget();
        viewer.render();
        const before = facts();
        viewer.move([0.1, 0], 1);
        for (let n = 0; n < 3; n++) viewer.ease.took({slow} ? 300 : 10);
        viewer.render();
        const turning = facts();
        await rest();
        return [before, turning, facts()];
        """.replace("True", "true").replace("False", "false"),
    )  # fmt: skip
    before, turning, after = told
    assert before[2] == after[2] == "full"
    assert after[0] == before[0]
    if slow:
        assert turning[2] == "less"
        assert turning[0] <= before[0] / 2
        assert turning[1] < before[1] / 2
    else:
        assert turning[2] == "full"
        assert turning[0] == before[0]
