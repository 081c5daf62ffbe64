"""The moving picture of README.md: the page in front of the demo models, used as a person does."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from cli.docs.browser import CHROMIUM, FLAGS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "images" / "page.webp"
PROMPT, SEED = "a steam train", "1"
VIEWPORT = {"width": 1080, "height": 700}
WIDTH, HEIGHT = 810, 525
"""Of the picture, in pixels."""
QUALITY = 70
PATIENCE = 600.0
WAIT_PICTURES, WAIT_SECONDS = 50, 6.0
"""Pictures that are kept of the wait for a shape, and the longest that it takes in the recording."""
TURNS = 48


class RecordingError(Exception):
    """Nothing was recorded; one sentence that says why."""


def record(path: Path = FILE) -> Path:
    """Records the page and writes the animated WebP; returns its path.

    Raises:
        RecordingError: There is no Chromium, or the service does not start.
    """
    if CHROMIUM is None:
        raise RecordingError("There is no Chromium to record with: install it (Debian: apt-get install chromium).")
    with service() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport=VIEWPORT, color_scheme="light")  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        film = Film(page)
        use(page, url, film)
        browser.close()
    film.write(path)
    return path


class Film:
    """Pictures of a page, each with the time that it stands: a slow machine makes no slow film."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._pictures: list[tuple[Image.Image, float]] = []

    def shoot(self, seconds: float) -> None:
        """Adds the page as it is, for some seconds."""
        self._pictures.append((self._picture(), seconds))

    def shoot_while(self, goes_on: Callable[[], bool]) -> None:
        """Adds what the page shows as long as something goes on: at most WAIT_PICTURES, and WAIT_SECONDS in all."""
        shown: list[Image.Image] = []
        begin = time.monotonic()
        while goes_on():
            shown.append(self._picture())
        seconds = min(time.monotonic() - begin, WAIT_SECONDS)
        kept = shown[:: -(-len(shown) // WAIT_PICTURES)] if shown else []
        self._pictures += [(picture, seconds / len(kept)) for picture in kept]

    def write(self, path: Path) -> None:
        """Writes the pictures as an animated WebP that begins again and again."""
        (first, *rest), seconds = zip(*self._pictures, strict=True)
        durations = [round(1000 * each) for each in seconds]
        first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, quality=QUALITY, method=4)

    def _picture(self) -> Image.Image:
        image = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
        return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def use(page: Page, url: str, film: Film) -> None:
    """What is shown: a prompt becomes a shape, which is turned, looked at in another way and taken away."""
    page.goto(url)
    expect(page.locator("#health")).to_have_text("Ready")
    page.get_by_label("Seed", exact=True).fill(SEED)
    page.get_by_label("Prompt").scroll_into_view_if_needed()
    film.shoot(1.5)
    prompt = page.get_by_label("Prompt")
    for end in range(1, len(PROMPT)):
        # Without an event: between two letters the page has no time to ask whether the models know so much of a word.
        prompt.evaluate("(field, text) => { field.value = text; }", PROMPT[:end])
        film.shoot(0.12)
    prompt.fill(PROMPT)
    page.locator("#presets").get_by_text("Draft").click()
    film.shoot(0.8)
    generate = page.get_by_role("button", name="Generate")
    generate.click()
    film.shoot_while(lambda: page.locator("#stage").get_attribute("data-state") != "shown" or generate.is_disabled())
    _sharp(page)
    film.shoot(1.5)
    _turn(page, film)
    for name in ("Normals", "Voxels"):
        page.locator("#tools").get_by_text(name, exact=True).click()
        _sharp(page)
        film.shoot(1.2)
    page.locator("#download summary").click()
    film.shoot(3.0)


def _turn(page: Page, film: Film) -> None:
    """Drags the shape once around."""
    box = page.locator("#view").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(TURNS):
        page.mouse.move(x + step * 7, y)
        _drawn(page)
        film.shoot(0.07)
    page.mouse.up()
    _sharp(page)
    film.shoot(0.8)


def _drawn(page: Page) -> None:
    """Waits for two refreshes of the screen."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def _sharp(page: Page) -> None:
    """Waits until what moved is drawn in full again."""
    _drawn(page)
    expect(page.locator("#view")).not_to_have_attribute("data-detail", "less")
    _drawn(page)


@contextlib.contextmanager
def service() -> Iterator[str]:
    """The address of a service with the demo models, ready, as long as the block runs.

    Raises:
        RecordingError: It does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        settings = {"XCUBE_HOST": "127.0.0.1", "XCUBE_PORT": port, "XCUBE_MODEL": "demo", "XCUBE_JOBS_DIR": folder}
        environment = {**os.environ, **settings}
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.serve"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            end = time.monotonic() + PATIENCE
            while not _answers(f"{url}/readyz"):
                if process.poll() is not None or time.monotonic() > end:
                    raise RecordingError(f"The service did not start: {Path(log.name).read_text()[-500:]}")
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, timeout=5, trust_env=False).is_success
    return False
