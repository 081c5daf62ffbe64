"""ETags: what they follow from, and how If-None-Match is read."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.datastructures import Headers

from api.call import Call
from api.errors import QueueFull
from api.http import etags
from api.http.etags import etag, has
from api.http.headers import wants_anew
from api.http.responses import answer
from api.schemas import GenerateRequest
from formats import FORMATS, Options

BITS = "cpu, float32, torch, 1 threads; text:a coarse:b"
TAG = '"0123456789abcdef"'


def tag_of(bits: str = BITS, number: int = 0, options: Options | None = None, **fields: Any) -> str | None:
    request = GenerateRequest(**{"prompt": "a mug", "seed": 1, **fields})
    return etag(bits, request, FORMATS[number], options or Options())


def test_equal_requests_have_one_tag_however_they_are_written() -> None:
    assert (
        tag_of() == tag_of(ddim_steps=100, guidance_scale=7.5, use_fine=None) == tag_of(options=Options(fill="shell"))
    )
    assert (tag_of() or "").startswith('"'), "a strong one"


def test_whatever_changes_the_bytes_changes_the_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = [
        tag_of(),
        tag_of("cuda, bfloat16; text:a coarse:b"),
        tag_of("cpu, float32, torch, 1 threads; text:a coarse:c"),
        tag_of(number=1),
        tag_of(options=Options(size=24)),
        tag_of(options=Options(size=25)),
        tag_of(options=Options(mirror="x")),
        tag_of(prompt="a cup"),
        tag_of(seed=2),
        tag_of(ddim_steps=99),
        tag_of(guidance_scale=7.25),
        tag_of(use_fine=False),
    ]
    monkeypatch.setattr(etags, "service_version", lambda: "another")
    tags.append(tag_of())
    assert len(set(tags)) == len(tags)


def test_without_a_seed_or_known_models_there_is_none() -> None:
    assert tag_of(seed=None) is None
    assert tag_of(bits="") is None


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (TAG, True),
        (f"W/{TAG}", True),
        (f'"another", W/"one",{TAG}', True),
        (f'"with, a comma", {TAG}', True),
        ("", False),
        ("*", False),
        ('"another"', False),
        (TAG.strip('"'), False),
        (f'"a{TAG[1:]}', False),
    ],
)
def test_a_list_of_tags_is_read(header: str, named: bool) -> None:
    assert has(header, TAG) is named
    assert not has(header, None)


class Idle:
    """A generator that knows its models, has nothing in memory, and makes nothing."""

    def __init__(self) -> None:
        self.made = 0

    def status(self) -> Any:
        return SimpleNamespace(bits=BITS)

    async def known(self, *_: Any) -> None:
        return None

    async def run(self, *_: Any) -> None:
        self.made += 1
        raise QueueFull("Full.", retry_after=1.0)


@pytest.mark.parametrize(
    ("known", "fields", "anew", "status"),
    [
        (tag_of(), {}, False, 304),
        (tag_of(), {}, True, 429),
        (tag_of(number=1), {}, False, 429),
        ("*", {}, False, 429),
        (tag_of(), {"seed": None}, False, 429),
    ],
)
def test_who_has_an_answer_costs_no_work_though_nothing_is_in_memory(
    known: str, fields: dict[str, Any], anew: bool, status: int
) -> None:
    idle, call = Idle(), Call()
    call.known, call.anew = known, anew
    request = GenerateRequest(**{"prompt": "a mug", "seed": 1, **fields})
    found = asyncio.run(answer(idle, request, call))  # type: ignore[arg-type]
    assert found.status_code == status
    assert idle.made == (status != 304)


@pytest.mark.parametrize(
    ("said", "anew"),
    [
        ({}, False),
        ({"Cache-Control": "max-age=0"}, False),
        ({"Cache-Control": "No-Cache"}, True),
        ({"Cache-Control": "max-age=0, no-store"}, True),
        ({"Cache-Control": "x-no-cache"}, False),
    ],
)
def test_a_client_can_ask_for_a_shape_made_anew(said: dict[str, str], anew: bool) -> None:
    assert wants_anew(Headers(said)) is anew
