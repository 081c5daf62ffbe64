"""Requests as the service reads them from a body."""

from __future__ import annotations

from typing import Any

import orjson

from api.parsing import parse
from api.schemas import BatchRequest, GenerateRequest


def read(**fields: Any) -> GenerateRequest:
    """One request with these fields."""
    return parse(GenerateRequest, orjson.dumps({"prompt": "x", **fields}))


def batch(prompts: list[Any], **shared: Any) -> list[GenerateRequest]:
    """Several requests of one body."""
    request = parse(BatchRequest, orjson.dumps({"prompts": prompts, **shared}))
    # The gate reads a body, writes it again and hands it on.
    again = BatchRequest.model_validate_json(request.model_dump_json())
    assert again.requests() == request.requests()
    return request.requests()
