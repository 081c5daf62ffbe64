"""What the page says and does when it can't have a shape at once, or at all."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from models.shape import Shape
from tests.support.page import Site, finished, listen, make
from tests.support.solids import shell, torus


@pytest.fixture(scope="module")
def result(ball: Shape) -> Shape:
    """Soon drawn."""
    return ball


def ask(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()


def test_an_error_is_told_in_the_services_words_and_can_be_tried_again(page: Page, site: Site) -> None:
    sentence = "What went wrong: do <b>this</b> instead."
    for status, code in ((503, "out_of_memory"), (500, "internal"), (504, "deadline_passed")):
        site.replay.errors = [(status, {"error": sentence, "code": code, "retryable": False}, {})]
        ask(page, site)
        expect(page.get_by_role("alert").filter(has_text="It didn't work")).to_contain_text(sentence)
        expect(page.get_by_role("button", name="Generate")).to_be_enabled()
        page.get_by_role("button", name="Try again").click()
        finished(page)
        expect(page.locator("#problem")).to_be_hidden()


def test_a_request_that_is_too_slow_is_sent_with_the_steps_that_fit(page: Page, site: Site) -> None:
    sentence = (
        "100 steps would take about 412 s here, more than the 290 s a request may take: ask for at most 68 steps."
    )
    site.replay.errors = [(400, {"error": sentence, "code": "too_slow", "retryable": False}, {})]
    ask(page, site)
    expect(page.get_by_role("alert").filter(has_text="That would take too long")).to_contain_text(sentence)
    page.get_by_role("button", name="Take 68 steps").click()
    finished(page)
    assert json.loads(site.replay.requests[-1])["ddim_steps"] == 68
    expect(page.locator("#steps-value")).to_have_text("68")


def test_what_would_fail_again_is_not_offered_again(page: Page, site: Site) -> None:
    site.replay.errors = [(400, {"error": "Bad.", "code": "invalid_request", "retryable": False}, {})]
    ask(page, site)
    expect(page.get_by_role("alert").filter(has_text="That can't be done")).to_contain_text("Bad.")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#gallery")).to_be_visible()


def test_without_3d_graphics_a_shape_can_still_be_downloaded(page: Page, site: Site) -> None:
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(site.url)
    expect(page.locator("#problem-text")).to_contain_text("WebGL 2")
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    page.locator("#download summary").click()
    expect(page.locator("[data-format=png]")).to_be_hidden()
    with page.expect_download() as download:
        page.locator("[data-format=glb]").click()
    assert download.value.suggested_filename.endswith(".glb")
    site.complaints[:] = [text for text in site.complaints if "WebGL" not in text]


def test_after_an_empty_result_another_seed_is_tried(page: Page, site: Site) -> None:
    site.replay.errors = [(422, {"error": "No voxels.", "code": "empty_result", "retryable": False}, {})]
    page.goto(f"{site.url}ui/#prompt=a+ring&seed=7")
    expect(page.get_by_role("alert").filter(has_text="No shape came out")).to_contain_text("No voxels.")
    page.get_by_role("button", name="Try another seed").click()
    finished(page)
    assert ["seed" in json.loads(request) for request in site.replay.requests] == [True, False]


def test_a_full_queue_is_waited_for_as_long_as_the_service_says(page: Page, site: Site) -> None:
    busy = (429, {"error": "Too many wait.", "code": "queue_full", "retryable": True}, {"Retry-After": "2"})
    site.replay.errors = [busy]
    page.goto(site.url)
    said = listen(page)
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    assert "The service is busy; trying again" in said()
    assert said("#progress-time")[:2] == ["2 s left", "1 s left"]
    assert len(site.replay.requests) == 2


def test_a_queue_that_stays_full_is_told_in_the_end(page: Page, site: Site) -> None:
    busy = (429, {"error": "Too many wait.", "code": "queue_full", "retryable": True}, {"Retry-After": "1"})
    site.replay.errors = [busy] * 4
    ask(page, site)
    expect(page.get_by_text("The service stayed busy")).to_be_visible()
    assert len(site.replay.requests) == 4


def test_models_that_are_loading_are_waited_for(page: Page, site: Site) -> None:
    site.replay.health = {"status": "loading", "error": None}
    site.replay.errors = [(503, {"error": "The models are still loading.", "code": "loading", "retryable": True}, {})]
    ask(page, site)
    expect(page.locator("#health")).to_have_text("Loading models…")
    expect(page.locator("#progress-text")).to_have_text("The models are loading")
    site.replay.health = {"status": "ready", "error": None}
    finished(page)
    expect(page.locator("#health")).to_have_text("Ready")


def test_models_that_fail_to_load_are_told_with_the_reason(page: Page, site: Site) -> None:
    site.replay.health = {"status": "error", "error": "demo_coarse is missing: run scripts/import."}
    site.replay.errors = [(503, {"error": "The models are still loading.", "code": "loading", "retryable": True}, {})]
    ask(page, site)
    expect(page.locator("#problem-text")).to_have_text("demo_coarse is missing: run scripts/import.")
    expect(page.locator("#health")).to_have_text("No models")


def test_an_event_that_says_failed_is_told(page: Page, site: Site) -> None:
    page.route(
        "**/generate?*",
        lambda route: route.fulfill(
            content_type="text/event-stream",
            body='event: queued\r\ndata: {"position": 0}\r\n\r\n: a comment\n\n'
            'event: failed\ndata: {"error": "No voxels:\\ntry another seed.", "code": "empty_result"}\n\n',
        ),
    )
    ask(page, site)
    expect(page.locator("#problem-title")).to_have_text("No shape came out")
    expect(page.locator("#problem-text")).to_contain_text("try another seed.")


def test_a_stream_that_breaks_off_is_told(page: Page, site: Site) -> None:
    body = 'event: progress\ndata: {"stage": "coarse", "step": 1, "steps": 2, "seconds_left": 1}\n\n'
    page.route("**/generate?*", lambda route: route.fulfill(content_type="text/event-stream", body=body))
    ask(page, site)
    expect(page.locator("#problem-text")).to_contain_text("The connection broke")


def test_no_connection_is_told_and_the_last_shape_stays(page: Page, site: Site) -> None:
    make(page, site)
    page.route("**/generate?*", lambda route: route.abort())
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem-title")).to_have_text("No connection")
    expect(page.locator("#stage")).to_have_attribute("data-state", "shown")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#problem")).to_be_hidden()


def test_a_key_that_the_service_asks_for_is_sent_from_then_on(page: Page, site: Site) -> None:
    seen: list[str | None] = []
    page.on(
        "request",
        lambda request: seen.append(request.headers.get("authorization")) if "generate" in request.url else None,
    )
    site.replay.locked = True
    site.replay.errors = [(401, {"error": "Send the API key.", "code": "unauthorized", "retryable": False}, {})]
    ask(page, site)
    expect(page.locator("#health")).to_have_text("Needs a key")
    page.get_by_label("API key").fill("secret")
    page.get_by_role("button", name="Try again").click()
    finished(page)
    assert seen[-1] == "Bearer secret"
    expect(page.locator("#health")).to_have_text("Ready")


def test_a_slow_network_is_told_how_much_has_come(page: Page, site: Site) -> None:
    site.replay.result = Shape(shell(torus(0.3, 0.12), 32), shell(torus(0.3, 0.12), 128), seed=5)
    page.goto(site.url)
    said = listen(page)
    expect(page.locator("#health")).to_have_text("Ready")
    slow = {"offline": False, "latency": 20, "downloadThroughput": 60_000, "uploadThroughput": 60_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Prompt").fill("a ring")
    page.get_by_role("button", name="Generate").click()
    finished(page)
    assert "Receiving" in said()
    assert sum(text.endswith("%") for text in said("#progress-time")) > 1
    expect(page.locator("#facts-text")).to_contain_text(f"{len(site.replay.result.fine or ()):,} voxels")


def test_a_service_that_does_not_pack_is_understood_too(page: Page, site: Site) -> None:
    site.replay.packs = False
    make(page, site)
    expect(page.locator("#facts-text")).to_contain_text(f"{len(site.replay.result.coarse):,} voxels")


def test_cancel_closes_the_connection_so_that_the_service_stops(page: Page, site: Site) -> None:
    site.replay.held = True
    ask(page, site)
    expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    expect(page.locator("#live")).to_have_text("Cancelled")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#stage")).to_have_attribute("data-state", "empty")
    for _ in range(50):
        if site.replay.cancelled.is_set():
            break
        page.wait_for_timeout(100)
    assert site.replay.cancelled.is_set()


def test_escape_cancels_and_the_focus_is_never_lost(page: Page, site: Site) -> None:
    make(page, site)
    go = page.locator("#go")
    site.replay.held = True
    for way in ("Escape", "Cancel"):
        page.get_by_role("button", name="Again").press("Enter")
        expect(page.locator("#stage")).to_have_attribute("data-state", "coarse")
        expect(go).to_be_focused()
        if way == "Cancel":
            page.get_by_role("button", name="Cancel").press("Enter")
        else:
            page.keyboard.press("Escape")
        expect(page.locator("#live")).to_have_text("Cancelled")
        expect(go).to_be_focused()
        expect(page.locator("#caption")).to_be_visible()
    page.route("**/generate?*", lambda route: route.abort())
    page.get_by_role("button", name="Generate").press("Enter")
    page.get_by_role("button", name="Close").press("Enter")
    expect(page.locator("#problem")).to_be_hidden()
    expect(go).to_be_focused()


def test_a_link_that_may_not_be_copied_is_told(page: Page, site: Site) -> None:
    page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('It is denied.'))")
    make(page, site)
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Not copied")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("take the page's address")


def test_without_a_clipboard_the_link_is_copied_in_the_old_way_and_the_focus_stays(page: Page, site: Site) -> None:
    page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', {value: undefined})")
    make(page, site)
    page.get_by_role("button", name="Copy link").press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_focused()


def test_a_service_that_goes_away_and_comes_back_is_seen_without_a_click(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.locator("#health")).to_have_text("Ready")
    page.route("**/health", lambda route: route.abort())
    expect(page.locator("#health")).to_have_text("Not reachable")
    page.unroute("**/health")
    expect(page.locator("#health")).to_have_text("Ready")


def test_an_empty_prompt_is_told_where_it_is_missing(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#prompt-fault")).to_have_text("Say what to make.")
    expect(page.get_by_label("Prompt")).to_be_focused()
    assert site.replay.requests == []
    page.get_by_role("button", name="a tall chair").click()
    expect(page.locator("#prompt-fault")).to_be_hidden()
