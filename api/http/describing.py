"""The words in which each file with routes describes them for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from api.errors import TABLE
from api.http import stream_options
from api.http.routes import body_of
from api.http.streaming import EVENTS
from formats import FORMATS
from formats.options import RULES

REFERENCE = "#/components/schemas/{name}"
_STATUS_TEXT = {
    400: "the request is wrong, or cannot finish in time (`too_slow`)",
    401: "the API key is missing or wrong",
    403: "this service does not allow it to anybody, or not to this key",
    404: "nothing exists at this path",
    405: "the path does not support this method",
    406: "the client accepts none of the formats",
    408: "the body did not arrive in time",
    409: "the job has no result yet or was canceled, or the Idempotency-Key belongs to another request",
    410: "the result was removed to make room, or its file is damaged",
    413: "the body is too large",
    415: "the body is not declared as JSON",
    422: "the model gave nothing usable for this prompt and seed",
    429: "too many requests are waiting, or the key has had its quota; see Retry-After",
    500: "a bug",
    503: "the models or the jobs cannot be used now",
    504: "the deadline passed",
    507: "there is no room for more jobs; see Retry-After",
}
BODY = frozenset({400, 401, 405, 408, 413, 415})
"""What can be wrong with any request that has a body."""
WORK = frozenset({rule.status for rule in TABLE if rule.status in (422, 429, 503, 504)} | {403, 500})
"""How work can fail."""
FORMAT = {
    "name": "format",
    "in": "query",
    "schema": {"enum": [format_.name for format_ in FORMATS]},
    "description": "file format; takes precedence over the header Accept",
}
KNOWN = {
    "name": "If-None-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "ETags of answers that the client has; a request with that seed and answer gets 304",
}
ANEW = {
    "name": "Cache-Control",
    "in": "header",
    "schema": {"type": "string"},
    "description": "no-cache: the shape is made anew, whatever is in memory",
}
NOT_MODIFIED = {
    "description": "the client has this answer already",
    "headers": {"ETag": {"schema": {"type": "string"}}},
}

OPTIONS = [
    {"name": name, "in": "query", "schema": rule.schema, "description": rule.meaning} for name, rule in RULES.items()
]
"""What a file may be asked for; an option that its format does not take is an error."""
STREAM_OPTIONS = [
    {"name": name, "in": "query", "schema": rule.schema, "description": f"event streams: {rule.meaning}"}
    for name, rule in stream_options.RULES.items()
]
"""What an event stream may be asked for; they mean nothing for a file."""


def operation(
    name: str,
    summary: str,
    answers: Mapping[int, Any],
    failures: Iterable[int],
    body: dict[str, Any] | None = None,
    error: str = "ErrorBody",
) -> dict[str, Any]:
    """One operation.

    Args:
        name: Its id.
        summary: What it does, in a few words.
        answers: By status, where it succeeds.
        failures: Statuses of the errors that it can have.
        body: The content of a request, if it has a body.
        error: The schema of its errors.
    """
    errors = {
        str(status): {"description": _STATUS_TEXT[status], "content": as_json(error)} for status in sorted(failures)
    }
    described = {
        "operationId": name,
        "summary": summary,
        "responses": {**{str(status): answer for status, answer in answers.items()}, **errors},
    }
    return described if body is None else {**described, "requestBody": {"required": True, "content": body}}


def page(name: str, summary: str, content: dict[str, Any]) -> dict[str, Any]:
    """A GET that anybody can make, and that does not fail."""
    return operation(name, summary, {200: {"description": "the page", "content": content}}, ())


def body_for(path: str) -> dict[str, Any]:
    """What a POST to a path carries, as the table of routes says."""
    model = body_of("POST", path)
    assert model is not None
    return as_json(model.__name__)


def as_json(*schemas: str) -> dict[str, Any]:
    """Content of the JSON that a schema of the document describes, or one of several."""
    first, *others = [{"$ref": REFERENCE.format(name=schema)} for schema in schemas]
    return {"application/json": {"schema": {"anyOf": [first, *others]} if others else first}}


def as_files() -> dict[str, Any]:
    """Content of a shape, in every format."""
    others: dict[str, Any] = {format_.media_type.partition(";")[0]: {} for format_ in FORMATS[1:]}
    return {**as_json("Generated"), **others, "application/zip": {}}


def as_events(schema: str = "Event") -> dict[str, Any]:
    """Content of a stream of events that a schema of the document describes."""
    return {EVENTS: {"schema": {"$ref": REFERENCE.format(name=schema)}}}


def as_text(media_type: str) -> dict[str, Any]:
    """Content of text."""
    return {media_type: {"schema": {"type": "string"}}}
