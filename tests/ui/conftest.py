from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cli.docs.browser import CHROMIUM, FLAGS
from models.shape import Shape
from tests.support.page import Site, new_page
from tests.support.replay import Replay
from tests.support.serving import serving
from tests.support.solids import shell, sphere, torus


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. Its loop of events keeps others from running in this thread, so it ends with the module."""
    if CHROMIUM is None:
        # .ci/run sets this where it found or installed one.
        gone = pytest.fail if os.environ.get("XCUBE_TEST_BROWSER") == "required" else pytest.skip
        gone("no Chromium is installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def result() -> Shape:
    """A torus, coarse and fine."""
    return Shape(shell(torus(0.3, 0.12), 32), shell(torus(0.3, 0.12), 64), seed=5)


@pytest.fixture(scope="session")
def ball() -> Shape:
    """A ball without a fine stage."""
    return Shape(shell(sphere(0.4), 32), None, seed=5)


@pytest.fixture
def site(result: Shape) -> Iterator[Site]:
    """A server of its own for each test. A complaint of the browser about the page fails the test."""
    replay = Replay(result)
    with serving(replay.app) as url:
        made = Site(url, replay)
        yield made
    assert made.complaints == []


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A desktop browser's page, in the light theme and without motion, before it has opened anything.

    It has few pixels, which are soon drawn without a GPU.
    """
    context = browser.new_context(
        viewport={"width": 1200, "height": 800}, device_scale_factor=0.5,
        color_scheme="light", reduced_motion="reduce", accept_downloads=True,
    )  # fmt: skip
    yield new_page(context, site)
    context.close()
