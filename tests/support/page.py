"""The page in a browser, and what a person does at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.support.replay import Replay

WAIT_MS = 20_000
DROP = """(name) => {
    const data = new DataTransfer();
    data.items.add(new File(['voxels'], name));
    for (const kind of ['dragover', 'drop'])
        document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
}"""
expect.set_options(timeout=WAIT_MS)


@dataclass
class Site:
    """The page in front of recorded answers, and what a browser said about it."""

    url: str
    replay: Replay
    complaints: list[str] = field(default_factory=list)


def new_page(context: BrowserContext, site: Site) -> Page:
    """A page whose errors and whose requests to other hosts become the site's complaints."""

    def said(message: ConsoleMessage) -> None:
        # A status of 400 or above is an error to the console, and an ordinary answer to the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            site.complaints.append(message.text)

    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.on("console", said)
    page.on("pageerror", lambda error: site.complaints.append(str(error)))
    page.on(
        "request",
        lambda request: request.url.startswith((site.url, "data:", "blob:")) or site.complaints.append(request.url),
    )
    return page


def make(page: Page, site: Site, prompt: str = "a ring") -> None:
    page.goto(site.url)
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_role("button", name="Generate").click()
    finished(page)


def finished(page: Page) -> None:
    expect(page.locator("#stage")).to_have_attribute("data-state", "shown")
    expect(page.locator("#go")).to_be_enabled()


def settled(page: Page) -> None:
    """Waits for two refreshes of the screen, and until a picture that moved is drawn in full again."""
    refreshes = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
    page.evaluate(refreshes)
    expect(page.locator("#view")).not_to_have_attribute("data-detail", "less")
    page.evaluate(refreshes)


def drop(page: Page, name: str) -> None:
    """Drops a file of a few bytes on the page."""
    page.evaluate(DROP, name)


def listen(page: Page) -> Callable[..., list[str]]:
    """From now on keeps every text that the elements below have; gives those of one element, without the empty ones."""
    page.evaluate(
        """() => {
            window.said = {};
            for (const id of ['#progress-text', '#progress-time']) {
                const element = document.querySelector(id);
                window.said[id] = [];
                const keep = () => window.said[id].push(element.textContent);
                new MutationObserver(keep).observe(element, {childList: true});
            }
        }"""
    )
    return lambda name="#progress-text": [text for text in page.evaluate("name => window.said[name]", name) if text]
