"""The form that every error has."""

from __future__ import annotations

import re

import httpx


def assert_error(answer: httpx.Response, status: int, code: str | None = None) -> str:
    """Checks an error's form; returns its sentence."""
    assert answer.status_code == status, answer.text[:300]
    body = answer.json()
    assert set(body) == {"error", "code", "retryable"}
    assert isinstance(body["error"], str)
    assert re.fullmatch(r"[a-z_]+", body["code"])
    assert isinstance(body["retryable"], bool)
    assert code in (None, body["code"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert "still loading" not in body["error"]
    assert "Traceback" not in answer.text
    return str(body["error"])
