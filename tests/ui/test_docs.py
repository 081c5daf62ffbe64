"""`/docs` and the page in a browser: with a key, and under a prefix that only the proxy knows."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from pydantic import SecretStr

from api.http.auth import Keys
from api.http.endpoints import Endpoints
from api.http.forwarded import Forwarded
from api.http.gate import Gate
from api.messages import Status
from api.schemas import LOADING
from models.shape import Shape
from tests.support.axe import violations
from tests.support.page import Site, make, new_page
from tests.support.replay import Replay
from tests.support.serving import serving

KEY = "correct horse"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The pages of a service with a key, behind a proxy that serves it under /xcube and does not say so."""
    pages = Endpoints()
    pages.connect(SimpleNamespace(status=lambda: Status(health=LOADING, model_set="demo")), SimpleNamespace(), dict)  # type: ignore[arg-type, return-value]
    inner: Any = Forwarded(Gate(pages.app, 1000, Keys(SecretStr(KEY))), "", ())

    with serving(behind_proxy(inner)) as address:
        yield f"{address}xcube/docs"


def behind_proxy(app: Any) -> Any:
    """An application under /xcube, with nothing beside it."""

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        below = scope["path"].startswith("/xcube/")
        path = scope["path"].removeprefix("/xcube") if below else "/nothing"
        await app({**scope, "path": path}, receive, send)

    return proxy


@pytest.mark.parametrize("field", ["#auth-bearer-value", "#api_key_value"], ids=["bearer", "header"])
def test_a_reader_of_the_documentation_can_try_it_with_the_key(browser: Browser, url: str, field: str) -> None:
    page = browser.new_page()
    page.set_default_timeout(10_000)
    page.goto(url)
    index = page.locator("#operations-default-index")
    index.locator(".opblock-summary-control").click()
    index.get_by_role("button", name="Try it out").click()
    index.get_by_role("button", name="Execute").click()
    status = index.locator(".live-responses-table tbody .response-col_status").first
    expect(status).to_contain_text("401")

    page.locator(".auth-wrapper .authorize").first.click()
    page.locator(field).fill(KEY)
    page.locator("form", has=page.locator(field)).locator("button.authorize").click()
    page.get_by_role("button", name="Close").first.click()
    index.get_by_role("button", name="Execute").click()
    expect(status).to_contain_text("200")
    page.close()


def test_the_documentation_is_accessible(browser: Browser, url: str) -> None:
    page = browser.new_page(reduced_motion="reduce")
    page.goto(url)
    page.locator(".auth-wrapper .authorize").first.click()
    page.locator("#api_key_value").fill(KEY)
    found = violations(page)
    page.get_by_role("button", name="Close").first.click()
    kinds = page.locator("#operations-default-recognise")
    kinds.locator(".opblock-summary-control").click()
    kinds.get_by_role("button", name="Try it out").click()
    kinds.get_by_role("button", name="Execute").click()
    expect(kinds.locator(".live-responses-table")).to_be_visible()
    found += violations(page, "#operations-default-recognise")
    page.locator("#operations-default-generate .opblock-summary-control").click()
    expect(page.locator("#operations-default-generate [data-param-name=fill] select")).to_be_visible()
    found += violations(page, "#operations-default-generate :is(.parameters-container, .highlight-code)")
    page.close()
    assert not found, "\n\n".join(found)


def test_the_page_makes_a_shape_under_any_prefix(browser: Browser, result: Shape) -> None:
    replay = Replay(result)
    with serving(behind_proxy(replay.app)) as address:
        site = Site(f"{address}xcube/", replay)
        context = browser.new_context()
        page = new_page(context, site)
        make(page, site)
        assert page.url.startswith(f"{site.url}ui/")
        expect(page.locator("#health")).to_have_text("Ready")
        context.close()
    assert site.complaints == [], "no request leaves the prefix"
    assert len(replay.requests) == 1


def test_redoc_asks_nobody_but_the_service(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.goto(url.removesuffix("docs") + "redoc")
    first = page.locator("[data-section-id] h2").filter(has_text="prompt").first
    first.wait_for()
    page.wait_for_timeout(500)
    own = url.removesuffix("docs")
    assert [each for each in asked if not each.startswith((own, "data:", f"blob:{own[:16]}"))] == []
    assert not [text for text in told if "Content Security Policy" in text or "cdn" in text]
    page.close()
