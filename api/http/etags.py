"""ETag and If-None-Match (RFC 9110, sections 8.8.3 and 13.1.2): nobody gets an answer twice who has kept it.

A tag follows from the request and from what made the shape, so it needs neither the shape nor a memory of it.
"""

from __future__ import annotations

import hashlib
import re

import orjson
from starlette.responses import Response

from api.schemas import GenerateRequest
from formats import Format, Options
from models.version import service_version

_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
ANY = "*"
"""If-None-Match of a client that has some answer of this URL, whichever."""


def etag(origin: str, request: GenerateRequest, format_: Format, options: Options) -> str | None:
    """The strong ETag of an answer; None where the same request would not give it again, or nobody can tell.

    Args:
        origin: What the bytes of the shape depend on besides the request; empty where that is not known.
        request: The request. Without a seed each of its answers is another one.
        format_: The format of the answer.
        options: Its options.
    """
    if not origin or request.seed is None:
        return None
    facts = [service_version(), origin, request.model_dump_json(), format_.name, sorted(options.given().items())]
    return f'"{hashlib.sha256(orjson.dumps(facts)).hexdigest()[:32]}"'


def has(if_none_match: str, tag: str | None) -> bool:
    """Whether the header If-None-Match names a tag. What a proxy has made weak counts, since it is the same shape."""
    return tag is not None and tag in _TAG.findall(if_none_match)


def not_modified(tag: str, seed: int, headers: dict[str, str]) -> Response:
    """The answer to a client that has it already.

    Args:
        tag: The ETag.
        seed: The seed of the shape.
        headers: Those of the whole answer that tell caches what to do.
    """
    return Response(status_code=304, headers={**headers, "ETag": tag, "X-Seed": str(seed)})
