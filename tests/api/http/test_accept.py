"""The header Accept as RFC 9110 has it: weights, specificity, wildcards, parameters, and what is malformed."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from api.call import Call
from api.http.accept import accept_of, prefers
from api.http.negotiation import negotiate
from api.http.streaming import wants_events

EVENTS = "text/event-stream"


@pytest.mark.parametrize(
    "accept",
    [
        EVENTS,
        "TEXT/Event-Stream",
        f"application/json, {EVENTS}",
        f"{EVENTS}, application/json",
        f"{EVENTS}, */*",
        f"application/json;q=0.5, {EVENTS};q=0.5",
        f"application/json;q=0.9,{EVENTS}",
        f"{EVENTS};q=0.001",
        f"{EVENTS}; charset=utf-8",
        f"{EVENTS}; v=1",
        "text/*",
        "text/*, application/json;q=0.5",
        f'application/json;x="a, b;q=1";q=0, {EVENTS};q=0.1',
    ],
)
def test_events_are_for_who_wants_them_at_least_as_much_as_a_result(accept: str) -> None:
    assert wants_events(Call(accept=accept))


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        f"application/json, {EVENTS};q=0",
        f"application/json, {EVENTS};q=0.9",
        f"{EVENTS};Q=0, */*",
        f"{EVENTS};q=0.000",
        f"{EVENTS}; q=0",
        f"*/*, {EVENTS};q=0.5",
        f"model/stl, {EVENTS};q=0.5",
        f"application/json, {EVENTS};q=2",
        f"application/json, {EVENTS};q=-1",
        f"application/json, {EVENTS};q=0.1234",
        f"application/json, {EVENTS};q=1e0",
        f"application/json, {EVENTS};q=nan",
        f"application/json, {EVENTS};q=",
        f"application/json, {EVENTS} q=1",
        f'application/json;x="{EVENTS}"',
        f"application/json;x=1, {EVENTS}-2",
        f"application/json, {EVENTS};q=0;q=1",
        "text/*;q=0.5, application/json",
        "*/event-stream, application/json",
    ],
)
def test_no_events_for_who_wants_a_result_more(accept: str | None) -> None:
    assert not wants_events(Call(accept=accept))


def test_a_format_in_the_url_counts_more_than_the_header() -> None:
    assert not wants_events(Call(accept=EVENTS, format_="json"))


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("model/gltf-binary;primitives=points;q=0, model/gltf-binary;q=0.1", "glb"),
        ("model/gltf-binary;q=0, model/gltf-binary;primitives=points;q=0.1", "glb-points"),
        ('model/gltf-binary;primitives="points"', "glb-points"),
        ("application/json;version=2;q=1, application/json;q=0.1, model/stl;q=0.5", "stl"),
        ("application/json;version=2", "json"),
        ("application/json;q=0.5;version=2, model/stl;q=0.4", "json"),
        ("application/json ; q=0.2 , model/stl ; q=0.3", "stl"),
        ("application/json;;q=0.2, model/stl;q=0.3", "stl"),
        ("application/json;q=5, model/stl;q=0.3", "stl"),
        (",, ,model/stl,,", "stl"),
    ],
)
def test_parameters_belong_to_a_type_and_what_is_malformed_does_not_count(accept: str, name: str) -> None:
    assert negotiate(accept, None).name == name


def test_several_lines_are_one_list() -> None:
    assert accept_of(Headers(raw=[(b"accept", b"model/stl;q=0.1"), (b"accept", b"model/obj")])) == (
        "model/stl;q=0.1, model/obj"
    )
    assert accept_of(Headers({})) is None


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", True),
        ("text/html", True),
        ("application/json, text/html;q=0", False),
        ("application/json, text/html;q=0.5", False),
        ("application/json, text/plain, */*", False),
        ("*/*", False),
        (None, False),
    ],
)
def test_the_page_is_for_who_wants_html(accept: str | None, page: bool) -> None:
    assert prefers(accept, "text/html", ["application/json"]) is page


def test_a_long_header_is_read_at_once() -> None:
    accept = 'model/stl;x="' + "\\a" * 20_000 + ",;" * 20_000
    assert not wants_events(Call(accept=accept))
