"""The OpenAPI document: the operations of BentoML's service, described here, and what files with routes describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.given import RefineRequest, VariationRequest
from api.http import from_shapes
from api.http.answer_schemas import ANSWERS
from api.http.describing import (
    ANEW,
    BODY,
    FORMAT,
    KNOWN,
    NOT_MODIFIED,
    OPTIONS,
    REFERENCE,
    STREAM_OPTIONS,
    WORK,
    as_events,
    as_files,
    as_json,
    body_for,
    operation,
)
from api.http.mesh_schemas import MeshRequest
from api.schemas import BatchRequest, ErrorBody, GenerateRequest, Health, JobRequest, PromptRequest

_HEADERS = {
    "X-Request-ID": "the id sent with the request, or a new one",
    "X-Seed": "the seed that was used",
    "X-Seeds": "with n above 1: the seeds of all variants, separated by commas",
    "X-XCube-Warning": "notes on the result, if any, such as a prompt that was cut; percent-encoded beyond ASCII",
    "X-XCube-Nearest-Kinds": "where the prompt names no kind that the models know, those that come nearest; "
    "percent-encoded beyond ASCII",
    "X-XCube-Prompt": "the prompt, percent-encoded; left out where it is longer than 2048 characters so",
    "X-XCube-Version": "the version of the service",
    "X-XCube-Models": "names and versions of the models, percent-encoded",
    "X-XCube-Size": "of a file: voxels along each axis, such as 64x32x64",
    "X-XCube-Voxels": "of a file: how many voxels the shape has",
    "X-XCube-Faces": "of a surface: how many triangles it has",
    "X-XCube-Removed": "with clean: how many pieces were left out",
    "X-XCube-Pieces": "of a report: pieces that touch each other nowhere",
    "X-XCube-Holes": "of a report: places where the shell is open",
    "X-XCube-Watertight": "of a report: yes or no",
    "Server-Timing": "milliseconds in the queue and in each stage",
    "ETag": "names these bytes, for If-None-Match",
}
_PROBES = {
    "/healthz": "Whether the process answers: 200 and nothing else; older than /livez, which means the same",
    "/livez": "Whether the process is alive",
    "/readyz": "Whether every kind of request can be taken",
    "/metrics": "Figures for Prometheus",
}
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "the service's API key"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
}
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"header": []}]
"""Either of them, or none where the service has no key."""


def document(
    version: str, infrastructure: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """The document, OpenAPI 3.1.

    Args:
        version: Version of the service.
        infrastructure: Paths that BentoML documents by itself; only its GET routes (probes, metrics) are taken over.
        ours: Paths that files with routes describe.
        prefix: Under which a proxy serves the service. Where none is known, the paths begin where the document lies.
    """
    kinds: list[type[BaseModel]] = [
        GenerateRequest,
        RefineRequest,
        VariationRequest,
        JobRequest,
        BatchRequest,
        MeshRequest,
        PromptRequest,
        Health,
        ErrorBody,
    ]
    _, schemas = models_json_schema(
        [(kind, "validation") for kind in kinds], ref_template=REFERENCE.format(name="{model}")
    )
    probes = {path: _probe(path, item) for path, item in infrastructure.items() if set(item) == {"get"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "XCube", "version": version, "description": "Text to 3-D voxels."},
        "servers": [{"url": prefix or "."}],
        "security": _SECURITY,
        "paths": _generating() | from_shapes.described() | dict(ours) | probes,
        "webhooks": {"jobEnded": {"post": _job_ended()}},
        "components": {"securitySchemes": _SECURITY_SCHEMES, "schemas": {**schemas["$defs"], **ANSWERS}},
    }


def _probe(path: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """A path that BentoML documents, with a summary."""
    if path not in _PROBES:
        return dict(item)
    return {"get": {**item["get"], "summary": _PROBES[path], "description": ""}}


def _job_ended() -> dict[str, Any]:
    """What the service sends to the field `webhook` of a job, as Standard Webhooks describes it."""
    names = {"webhook-id": "the same each time", "webhook-timestamp": "Unix seconds", "webhook-signature": "v1,BASE64"}
    return {
        "operationId": "job_ended",
        "summary": "Tells that a job has ended, at least once",
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": text}
            for name, text in names.items()
        ],
        "requestBody": {"required": True, "content": as_json("JobEnded")},
        "responses": {
            "2XX": {"description": "it has arrived"},
            "410": {"description": "nobody wants it any more"},
            "default": {"description": "it is sent again later"},
        },
    }


def _generating() -> dict[str, Any]:
    shape = {
        "description": "the shape, or with n above 1 all variants; as events with Accept: text/event-stream",
        "headers": {name: {"schema": {"type": "string"}, "description": text} for name, text in _HEADERS.items()},
        "content": {**as_files(), **as_json("Generated", "BatchResults"), **as_events()},
    }
    stream = {"description": "queued, progress, coarse, then completed or failed", "content": as_events()}
    batch = {"description": "results in the order of the prompts and variants", "content": as_json("BatchResults")}
    failures = BODY | WORK
    generate = operation(
        "generate",
        "Turn a prompt into voxels with normals",
        {200: shape, 304: NOT_MODIFIED},
        failures | {406},
        body_for("/generate"),
    )
    return {
        "/generate": {"post": {**generate, "parameters": [FORMAT, KNOWN, ANEW, *OPTIONS, *STREAM_OPTIONS]}},
        "/generate_stream": {
            "post": {
                **operation(
                    "generate_stream", "The same, as server-sent events", {200: stream}, failures,
                    body_for("/generate_stream"),
                ),
                "parameters": [*OPTIONS, *STREAM_OPTIONS],
            }
        },
        "/batch_generate": {
            "post": operation(
                "batch_generate", "Turn several prompts into shapes", {200: batch}, failures,
                body_for("/batch_generate"),
            )
        },
    }  # fmt: skip
