"""Errors below /v1 in the form of OpenAI's API, whose clients read no other."""

from __future__ import annotations

from typing import Any

import orjson

PREFIX = "/v1/"
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def in_form_of(path: str, status: int, body: bytes) -> bytes:
    """The body of an error in the form that clients of a path read.

    Args:
        path: The path that was asked for.
        status: Of the answer.
        body: The body in the form of `api.errors`.
    """
    return in_openai_s(status, orjson.loads(body)) if path.startswith(PREFIX) else body


def in_openai_s(status: int, problem: dict[str, Any]) -> bytes:
    """A problem as OpenAI's API tells it: its sentence, its kind and its code; `param` is always null."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return orjson.dumps({"error": {"message": problem["error"], "type": kind, "param": None, "code": problem["code"]}})
