"""What axe-core finds wrong with a page for people who use a screen reader, a keyboard or strong contrast."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

RUN = """async (part) => {
    const {violations} = await axe.run(part, {resultTypes: ['violations'], preload: false});
    const told = (id) => ({html, failureSummary}) => `${id}: ${html}: ${failureSummary}`;
    return violations.flatMap(({id, nodes}) => nodes.map(told(id)));
}"""


def violations(page: Page, part: str = "html") -> list[str]:
    """What axe finds in the page, or a part of it, as it is now, each with its element."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(RUN, part)
    return found
