"""The OpenAPI document of the whole service: BentoML's routes and our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.errors import TABLE
from api.http.answer_schemas import ANSWERS
from api.http.routes import body_of
from api.http.streaming import EVENTS
from api.messages import MODELS
from api.process.probes import INFERENCE
from api.schemas import BatchRequest, ErrorBody, GenerateRequest, Health, NoParameters
from formats import FORMATS

_REF = "#/components/schemas/{name}"
_HEADERS = {
    "X-Request-ID": "the id sent with the request, or a new one",
    "X-Seed": "the seed that was used",
    "X-XCube-Warning": "notes on the result, if any, such as a prompt that was cut",
    "Server-Timing": "milliseconds in the queue and in each stage",
}
_STATUS_TEXT = {
    400: "the request is wrong, or cannot finish in time (`too_slow`)",
    401: "the API key is missing or wrong",
    404: "nothing exists at this path",
    405: "the path does not support this method",
    406: "the client accepts none of the formats",
    408: "the body did not arrive in time",
    409: "the job has no result yet or was canceled, or the Idempotency-Key belongs to another request",
    413: "the body is too large",
    415: "the body is not declared as JSON",
    422: "the model gave nothing usable for this prompt and seed",
    429: "too many requests are waiting; see Retry-After",
    500: "a bug",
    503: "the models are loading or unavailable",
    504: "the deadline passed",
}
_BODY = frozenset({400, 401, 405, 408, 413, 415})
"""What can be wrong with any request that has a body."""
_WORK = frozenset({rule.status for rule in TABLE if rule.status in (422, 429, 503, 504)} | {500})
"""How work can fail."""
_FORMAT = {
    "name": "format",
    "in": "query",
    "schema": {"enum": [format_.name for format_ in FORMATS]},
    "description": "file format; takes precedence over the header Accept",
}
_JOB_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "the service's API key"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
}
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"header": []}]
"""Either of them, or none where the service has no key."""
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "the same key with the same request gives the same job",
}


def document(version: str, infrastructure: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The document, OpenAPI 3.1.

    Args:
        version: Version of the service.
        infrastructure: Paths that BentoML documents by itself; only its GET routes (probes, metrics) are taken over.
        prefix: Under which a proxy serves the service. Where none is known, the paths begin where the document lies.
    """
    kinds: list[type[BaseModel]] = [GenerateRequest, BatchRequest, Health, ErrorBody]
    _, schemas = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_REF.format(name="{model}"))
    paths: dict[str, Any] = {path: dict(item) for path, item in infrastructure.items() if set(item) == {"get"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "XCube", "version": version, "description": "Text to 3-D voxels."},
        "servers": [{"url": prefix or "."}],
        "security": _SECURITY,
        "paths": paths | _generating() | _jobs() | _pages() | _models(),
        "components": {"securitySchemes": _SECURITY_SCHEMES, "schemas": {**schemas["$defs"], **ANSWERS}},
    }


def _generating() -> dict[str, Any]:
    shape = {
        "description": "the shape; as events with Accept: text/event-stream",
        "headers": {name: {"schema": {"type": "string"}, "description": text} for name, text in _HEADERS.items()},
        "content": {**_files(), **_events()},
    }
    events = {"description": "queued, progress, coarse, then completed or failed", "content": _events()}
    batch = {"description": "results in the order of the prompts", "content": _json("BatchResults")}
    failures = _BODY | _WORK
    generate = _operation(
        "generate", "Turn a prompt into voxels with normals", {200: shape}, failures | {406}, _body("/generate")
    )
    return {
        "/generate": {"post": {**generate, "parameters": [_FORMAT]}},
        "/generate_stream": {
            "post": _operation(
                "generate_stream", "The same, as server-sent events", {200: events}, failures, _body("/generate_stream")
            )
        },
        "/batch_generate": {
            "post": _operation(
                "batch_generate", "Turn several prompts into shapes", {200: batch}, failures, _body("/batch_generate")
            )
        },
    }


def _jobs() -> dict[str, Any]:
    job = {"description": "the job", "content": _json("Job")}
    gone = {"description": "the finished job was removed"}
    shape = {"description": "the shape", "content": _files()}
    add = _operation(
        "add_job", "Start a generation without a deadline", {202: job}, _BODY | _WORK | {409}, _body("/jobs")
    )
    common = frozenset({401, 404, 405, 500, 503})
    result = _operation("job_result", "The result of a job", {200: shape}, common | {400, 406, 409, 422})
    cancel = _operation("cancel_job", "Cancel a job, or remove a finished one", {200: job, 204: gone}, common)
    return {
        "/jobs": {"post": {**add, "parameters": [_KEY]}},
        "/jobs/{id}": {
            "parameters": [_JOB_ID],
            "get": _operation("show_job", "The progress of a job", {200: job}, common),
            "delete": cancel,
        },
        "/jobs/{id}/result": {"parameters": [_JOB_ID, _FORMAT], "get": result},
    }


def _pages() -> dict[str, Any]:
    health = {200: {"description": "the health", "content": _json("Health")}}
    about = "What the service is doing; always 200 while the process is alive"
    nothing = {"application/json": {"schema": NoParameters.model_json_schema()}}
    index = {"application/json": {"schema": {"type": "object"}}, **_text("text/html")}
    return {
        "/health": {
            "get": _operation("get_health", about, health, ()),
            "post": _operation("post_health", about, health, _BODY, nothing),
        },
        "/": {"get": _page("index", "Name, version, model set and links; browsers are sent to the page", index)},
        "/docs": {"get": _page("docs", "This documentation in Swagger UI", _text("text/html"))},
        "/redoc": {"get": _page("redoc", "This documentation in ReDoc", _text("text/html"))},
    }


def _models() -> dict[str, Any]:
    """The health of the Open Inference Protocol."""
    name = {"name": "name", "in": "path", "required": True, "schema": {"enum": list(MODELS)}}

    def get(operation: str, summary: str, answer: str, *failures: int) -> dict[str, Any]:
        found = {200: {"description": summary, "content": _json(answer)}}
        return {"get": _operation(operation, summary, found, failures)}

    return {
        INFERENCE: get("server", "The service's name and version", "Server"),
        f"{INFERENCE}/health/live": get("live", "Whether the process is alive", "Live"),
        f"{INFERENCE}/health/ready": get("ready", "Whether every kind of request can be taken", "Ready", 503),
        f"{INFERENCE}/models/{{name}}": {"parameters": [name], **get("model", "A model's version", "Model", 404)},
        f"{INFERENCE}/models/{{name}}/ready": {
            "parameters": [name], **get("model_ready", "Whether a model is ready", "ModelReady", 404, 503)
        },
    }  # fmt: skip


def _operation(
    name: str, summary: str, answers: Mapping[int, Any], failures: Iterable[int], body: dict[str, Any] | None = None
) -> dict[str, Any]:
    errors = {
        str(status): {"description": _STATUS_TEXT[status], "content": _json("ErrorBody")} for status in sorted(failures)
    }
    operation = {
        "operationId": name,
        "summary": summary,
        "responses": {**{str(status): answer for status, answer in answers.items()}, **errors},
    }
    return operation if body is None else {**operation, "requestBody": {"required": True, "content": body}}


def _page(name: str, summary: str, content: dict[str, Any]) -> dict[str, Any]:
    return _operation(name, summary, {200: {"description": "the page", "content": content}}, ())


def _body(path: str) -> dict[str, Any]:
    """What a POST to a path carries, as the table of routes says."""
    model = body_of("POST", path)
    assert model is not None
    return _json(model.__name__)


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}}


def _files() -> dict[str, Any]:
    others: dict[str, Any] = {format_.media_type.partition(";")[0]: {} for format_ in FORMATS[1:]}
    return {**_json("Generated"), **others}


def _events() -> dict[str, Any]:
    return {EVENTS: {"schema": {"$ref": _REF.format(name="Event")}}}


def _text(media_type: str) -> dict[str, Any]:
    return {media_type: {"schema": {"type": "string"}}}
