"""JSON Schemas of the answers, for the OpenAPI document. The requests' come from their models."""

from __future__ import annotations

from typing import Any

from api.messages import MODELS
from models.presets import PRESETS

_POINTS = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "number", "format": "float"}, "minItems": 3, "maxItems": 3},
}
_POINTS_OR_NULL = {"anyOf": [_POINTS, {"type": "null"}]}
_SHAPE = {
    "coarse_xyz": {**_POINTS, "description": "voxel centres in world units, [-0.5, 0.5]"},
    "coarse_normal": {**_POINTS, "description": "unit normals"},
    "fine_xyz": _POINTS_OR_NULL,
    "fine_normal": _POINTS_OR_NULL,
}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_COUNT_OR_NULL = {"type": ["integer", "null"], "minimum": 0}
_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}


def _object(title: str, description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "title": title,
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_SEED_TEXT = {"type": "string", "description": "the seed as text, since JavaScript rounds numbers beyond 2^53"}
_WARNINGS = {"type": "array", "items": {"type": "string"}, "description": "notes on the result, mostly none"}
_NEAREST = {
    "type": "array",
    "items": {"type": "string"},
    "description": "where the prompt names no kind that the models know, the kinds nearest to it",
}
_ERROR = {"$ref": "#/components/schemas/ErrorBody"}
GENERATED = _object("Generated", "Points sorted by voxel index. fine_* are null without a fine result.", _SHAPE)
_ITEM = _object(
    "BatchResult",
    "A shape.",
    {
        **_SHAPE,
        "seed": {"type": "integer"},
        "seed_text": _SEED_TEXT,
        "warnings": _WARNINGS,
        "nearest_kinds": _NEAREST,
    },
)
BATCH = _object(
    "BatchResults",
    "One result or error for each prompt, in the order of the prompts; with `n`, for each variant.",
    {"results": {"type": "array", "items": {"anyOf": [_ITEM, _ERROR]}}},
)
JOB = _object(
    "Job",
    "The progress of a job.",
    {
        "id": {"type": "string"},
        "state": {"enum": ["pending", "in_progress", "completed", "failed", "canceled"]},
        "seed": {"type": "integer"},
        "seed_text": _SEED_TEXT,
        "position": {**_COUNT_OR_NULL, "description": "its place in the queue, while it is pending; 1 is the next"},
        "waits_for": {
            "enum": ["turn", "models", None],
            "description": "what a pending job waits for: its turn, or a service that has its models",
        },
        "models": {
            "type": ["object", "null"],
            "additionalProperties": {"type": "string"},
            "description": "versions of the only models that may run it; null as long as any may",
        },
        "stage": _TEXT_OR_NULL,
        "step": _COUNT_OR_NULL,
        "steps": _COUNT_OR_NULL,
        "created": _TIME_OR_NULL,
        "started": _TIME_OR_NULL,
        "ended": _TIME_OR_NULL,
        "expires": _TIME_OR_NULL,
        "warnings": _WARNINGS,
        "nearest_kinds": _NEAREST,
        "error": {"anyOf": [_ERROR, {"type": "null"}]},
    },
)
JOBS = _object(
    "Jobs",
    "A page of a list of jobs.",
    {
        "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
        "next": {**_TEXT_OR_NULL, "description": "`before` of the next page; null on the last one"},
    },
)
JOB_VARIANTS = _object(
    "JobVariants",
    "One job for each variant.",
    {"jobs": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}}},
)
EVENT = _object(
    "Event",
    "One server-sent event. The data is JSON. With `n` above 1 each variant ends with `variant`.",
    {
        "event": {
            "enum": ["queued", "progress", "preview", "coarse", "sending", "variant", "warning", "completed", "failed"]
        },
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
)
JOB_EVENT = _object(
    "JobEvent",
    "One server-sent event about a job. The data is the job as JSON.",
    {
        "id": {"type": "string", "description": "what to send as Last-Event-ID"},
        "event": {"enum": ["queued", "progress", "completed", "failed", "canceled"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
)
_TENSORS = {
    "type": "array",
    "items": _object(
        "Tensor",
        "A tensor. A size of -1 is any size.",
        {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
        },
    ),
}
SERVER = _object(
    "Server",
    "The service, as the Open Inference Protocol describes a server.",
    {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "extensions": {"type": "array", "items": {"type": "string"}},
    },
)
MODEL = _object(
    "Model",
    "A model, as the Open Inference Protocol describes it.",
    {
        "name": {"enum": list(MODELS)},
        "versions": {"type": "array", "items": {"type": "string"}, "description": "names its weights"},
        "platform": {"type": "string"},
        "inputs": _TENSORS,
        "outputs": _TENSORS,
    },
)
JOB_ENDED = _object(
    "JobEnded",
    "What a webhook says: a job has ended.",
    {
        "type": {"enum": ["job.completed", "job.failed", "job.canceled"]},
        "timestamp": {"type": "string", "format": "date-time", "description": "when the job ended"},
        "data": _object(
            "JobEndedData",
            "The job.",
            {
                "id": {"type": "string"},
                "state": {"enum": ["completed", "failed", "canceled"]},
                "links": _object(
                    "JobLinks", "Paths of this service.", {"job": {"type": "string"}, "result": _TEXT_OR_NULL}
                ),
            },
        ),
    },
)
MESH = _object(
    "Mesh",
    "A mesh that is being made or has been made, in the words that OpenAI's API has for videos.",
    {
        "id": {"type": "string"},
        "object": {"const": "mesh"},
        "model": {"type": "string"},
        "status": {"enum": ["queued", "in_progress", "completed", "failed", "deleted"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "created_at": {"type": "integer"},
        "completed_at": _COUNT_OR_NULL,
        "expires_at": _COUNT_OR_NULL,
        "format": {"type": "string"},
        "size": _COUNT_OR_NULL,
        "seed": {"type": "integer"},
        "seed_text": _SEED_TEXT,
        "warnings": _WARNINGS,
        "nearest_kinds": _NEAREST,
        "url": {**_TEXT_OR_NULL, "description": "where the file is, once it is completed"},
        "error": {
            "anyOf": [
                _object("MeshError", "Why it failed.", {"code": {"type": "string"}, "message": {"type": "string"}}),
                {"type": "null"},
            ]
        },
    },
)
MESHES = _object(
    "Meshes",
    "Files, in the words that OpenAI's API has for images.",
    {
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "output_format": {"type": "string"},
        "data": {
            "type": "array",
            "items": _object(
                "MeshFile",
                "One file.",
                {
                    "b64_json": {"type": "string", "contentEncoding": "base64"},
                    "seed": {"type": "integer"},
                    "seed_text": _SEED_TEXT,
                    "warnings": _WARNINGS,
                    "nearest_kinds": _NEAREST,
                },
            ),
        },
    },
)
OPENAI_MODEL = _object(
    "OpenAIModel",
    "The models that are served, as one, as OpenAI's API describes a model.",
    {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "presets": {"type": "array", "items": {"enum": list(PRESETS)}, "description": "those that the models have"},
    },
)
OPENAI_MODELS = _object(
    "OpenAIModels",
    "The list of models, as OpenAI's API has it.",
    {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/OpenAIModel"}},
    },
)
OPENAI_ERROR = _object(
    "OpenAIError",
    "The body of errors below /v1, as OpenAI's API has it.",
    {
        "error": _object(
            "OpenAIErrorDetail",
            "What is wrong.",
            {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": "null"},
                "code": {"type": "string"},
            },
        )
    },
)
KINDS = _object(
    "Kinds",
    "What the models know.",
    {
        "kinds": {
            "type": "array",
            "description": "the kinds of shapes; empty where nobody can list them, as with the official models",
            "items": _object(
                "Kind",
                "A kind of shape.",
                {
                    "name": {"type": "string"},
                    "names": {"type": "array", "items": {"type": "string"}, "description": "all that it is called"},
                },
            ),
        },
    },
)
RECOGNITION = _object(
    "Recognition",
    "What the models know of a prompt.",
    {
        "known": {"type": ["boolean", "null"], "description": "null where nobody can tell"},
        "kinds": {"type": "array", "items": {"type": "string"}, "description": "those that the prompt names"},
        "nearest_kinds": _NEAREST,
        "warnings": {**_WARNINGS, "description": "what every result of this prompt would say of it"},
    },
)
LIVE = _object("Live", "The process is alive.", {"live": {"const": True}})
READY = _object("Ready", "Every kind of request can be taken.", {"ready": {"const": True}})
MODEL_READY = _object("ModelReady", "The model is ready.", {"name": {"enum": list(MODELS)}, "ready": {"const": True}})
ANSWERS = {
    "Generated": GENERATED, "BatchResults": BATCH, "Job": JOB, "Jobs": JOBS,
    "JobVariants": JOB_VARIANTS, "Event": EVENT, "JobEvent": JOB_EVENT, "JobEnded": JOB_ENDED,
    "Kinds": KINDS, "Recognition": RECOGNITION,
    "Server": SERVER, "Model": MODEL, "Live": LIVE, "Ready": READY, "ModelReady": MODEL_READY,
    "Mesh": MESH, "Meshes": MESHES, "OpenAIModel": OPENAI_MODEL, "OpenAIModels": OPENAI_MODELS,
    "OpenAIError": OPENAI_ERROR,
}  # fmt: skip
