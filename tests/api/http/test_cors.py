"""Pages of other origins: what the documentation tells a client to send passes a browser's question."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from api.http.cors import READABLE, Origins
from api.http.endpoints import document
from tests.support.paths import DOCS, ROOT

ORIGIN = "https://example.org"
ALWAYS = {"accept", "expect"}
"""Every page may send the first; the second is curl's own, and no page can send it."""


def documented() -> set[str]:
    """Headers of requests in the documentation's examples, and in the document of the API."""
    texts = [path.read_text(encoding="utf-8") for path in (*DOCS.glob("*.md"), ROOT / "README.md")]
    texts += [
        path.read_text(encoding="utf-8") for path in (ROOT / "clients").rglob("*.*") if path.suffix in (".md", ".sh")
    ]
    named = {name.lower() for text in texts for name in re.findall(r"-H ['\"]([A-Za-z-]+):", text)}
    named |= set(re.findall(r"`(traceparent|authorization|x-[a-z-]*(?:key|id))\b", "".join(texts).lower()))
    operations = [one for item in document("0", {})["paths"].values() for one in item.values() if isinstance(one, dict)]
    parameters: list[dict[str, Any]] = [one for operation in operations for one in operation.get("parameters", [])]
    named |= {one["name"].lower() for one in parameters if one["in"] == "header"}
    return named - ALWAYS


def ask(origins: str, method: str = "POST", headers: str = "content-type", origin: str = ORIGIN) -> Any:
    """A browser's question."""
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("fine"))])
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return TestClient(Origins(app, origins)).options("/", headers=asked)


def test_every_header_that_the_documentation_names_passes() -> None:
    names = documented()
    assert names >= {"authorization", "x-api-key", "idempotency-key", "content-type", "traceparent", "x-request-id"}
    for name in names:
        answer = ask(ORIGIN, headers=name)
        assert answer.status_code == 200, name
        assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_every_method_of_the_service_passes(method: str) -> None:
    assert ask(ORIGIN, method).status_code == 200


def test_what_answers_tell_in_headers_can_be_read() -> None:
    schemas = document("0", {})["paths"]["/generate"]["post"]["responses"]["200"]["headers"]
    assert set(schemas) | {"Location", "Retry-After", "Content-Disposition"} <= set(READABLE)


@pytest.mark.parametrize(
    ("method", "headers", "origin"),
    [("POST", "content-type", "https://evil.example"), ("PUT", "content-type", ORIGIN), ("POST", "x-other", ORIGIN)],
)
def test_what_does_not_pass_gets_an_error_like_any_other(method: str, headers: str, origin: str) -> None:
    answer = ask(ORIGIN, method, headers, origin)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "code", "retryable"}
    assert answer.json()["code"] == "invalid_request"
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert ("access-control-allow-origin" in answer.headers) == (origin == ORIGIN)
    assert "Origin" in answer.headers["vary"]
