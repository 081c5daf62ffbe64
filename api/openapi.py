"""The OpenAPI document of the whole service: BentoML's routes and those served beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.errors import TABLE
from api.schemas import ErrorBody, GenerateRequest, Health, NoParameters

_REF = "#/components/schemas/{model}"
_POINTS = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "number", "format": "float"}, "minItems": 3, "maxItems": 3},
}
_GENERATED = {
    "type": "object",
    "title": "Generated",
    "description": "Points sorted by voxel index. fine_* are null without a fine result.",
    "properties": {
        "coarse_xyz": {**_POINTS, "description": "voxel centres in world units, [-0.5, 0.5]"},
        "coarse_normal": {**_POINTS, "description": "unit normals"},
        "fine_xyz": {"anyOf": [_POINTS, {"type": "null"}]},
        "fine_normal": {"anyOf": [_POINTS, {"type": "null"}]},
    },
    "required": ["coarse_xyz", "coarse_normal", "fine_xyz", "fine_normal"],
    "additionalProperties": False,
}
_HEADERS = {
    "X-Request-ID": ("string", "the id sent with the request, or a new one"),
    "X-Seed": ("string", "the seed that was used"),
    "X-XCube-Warning": ("string", "what is worth knowing about the result, where there is something"),
    "Server-Timing": ("string", "milliseconds in the queue and in each stage"),
}
_STATUS_TEXT = {
    400: "the request is wrong, or cannot end in time (`too_slow`)",
    404: "no such path",
    408: "the body did not arrive in time",
    413: "the body is too long",
    415: "the body is not declared as JSON",
    422: "the model gave nothing usable for this prompt and seed",
    429: "too many requests wait; see Retry-After",
    500: "a bug",
    503: "the models are loading or unavailable",
    504: "the deadline passed",
}


def document(version: str, infrastructure: Mapping[str, Any]) -> dict[str, Any]:
    """The document, OpenAPI 3.1.

    Args:
        version: Version of the service.
        infrastructure: Paths that BentoML documents by itself (probes, metrics).
    """
    kinds: list[type[BaseModel]] = [GenerateRequest, Health, ErrorBody]
    _, schemas = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_REF)
    generate = {
        "operationId": "generate",
        "summary": "A prompt becomes voxels with normals",
        "requestBody": {"required": True, "content": _json(GenerateRequest)},
        "responses": {
            "200": {
                "description": "the shape",
                "headers": {
                    name: {"schema": {"type": kind}, "description": text} for name, (kind, text) in _HEADERS.items()
                },
                "content": {"application/json": {"schema": {"$ref": _REF.format(model="Generated")}}},
            },
            **_errors({rule.status for rule in TABLE if rule.status in _STATUS_TEXT} - {404} | {500}),
        },
    }
    health: dict[str, Any] = {
        "summary": "What the service is doing; always 200 while it lives",
        "responses": {"200": {"description": "the health", "content": _json(Health)}},
    }
    nothing = {"application/json": {"schema": NoParameters.model_json_schema()}}
    post_health = {
        **health,
        "operationId": "post_health",
        "requestBody": {"required": True, "content": nothing},
        "responses": {**health["responses"], **_errors({400, 408, 413, 415})},
    }
    paths: dict[str, Any] = {path: dict(item) for path, item in infrastructure.items()}
    paths["/generate"] = {"post": generate}
    paths["/health"] = {"get": {**health, "operationId": "get_health"}, "post": post_health}
    paths["/"] = {"get": _page("index", "Name, version and links", "application/json")}
    paths["/docs"] = {"get": _page("docs", "This documentation in Swagger UI", "text/html")}
    paths["/redoc"] = {"get": _page("redoc", "This documentation in ReDoc", "text/html")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "XCube", "version": version, "description": "Text to 3-D voxels."},
        "paths": paths,
        "components": {"schemas": {**schemas["$defs"], "Generated": _GENERATED}},
    }


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}


def _errors(statuses: Iterable[int]) -> dict[str, Any]:
    return {
        str(status): {"description": _STATUS_TEXT[status], "content": _json(ErrorBody)} for status in sorted(statuses)
    }


def _page(name: str, summary: str, media_type: str) -> dict[str, Any]:
    content: dict[str, Any] = {media_type: {"schema": {"type": "object" if "json" in media_type else "string"}}}
    return {"operationId": name, "summary": summary, "responses": {"200": {"description": "ok", "content": content}}}
