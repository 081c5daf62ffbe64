"""Links to shapes that the page gives away, as programs see them that show what lies behind a link: title and picture.

Such programs run no scripts, so the page itself tells, in the words of the Open Graph protocol. The picture is that of
a result that is still known: no link has anything made, and nobody sees a picture here who may not ask for one.
"""

from __future__ import annotations

import html
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from api import call as calls
from api.given import VariationRequest
from api.http.behind import Behind
from api.http.forwarded import prefix_of
from api.schemas import GenerateRequest
from formats import FORMATS
from models.errors import XCubeError
from models.shape import Shape

PICTURE = "picture.png"
_EXAMPLE = "examples/castle.webp"
_PNG = next(format_ for format_ in FORMATS if format_.name == "png")
_HOUR = 3600
_LONGEST_TITLE = 200
_BOX = 6
"""Numbers of a box."""


class SharedLinks:
    """What is told of links to shapes."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    async def tags(self, request: Request) -> str:
        """The elements for the head of the page behind a link; empty where it names no shape."""
        prompt = request.query_params.get("prompt", "").strip()
        if not prompt:
            return ""
        place = f"{request.url.scheme}://{request.url.netloc}{prefix_of(request.scope)}/ui/"
        found = await self._known(request.query_params)
        picture = _EXAMPLE if found is None else f"{PICTURE}?{urlencode(request.query_params.multi_items())}"
        told = {
            "og:type": "website",
            "og:site_name": "xcube",
            "og:title": prompt[:_LONGEST_TITLE],
            "og:description": "A shape of voxels, made from these words: turn it, change it, download it.",
            "og:url": f"{place}?{urlencode(request.query_params.multi_items())}",
            "og:image": f"{place}{picture}",
            "og:image:alt": prompt[:_LONGEST_TITLE] if found is not None else "a castle of voxels",
        }
        elements = [f'<meta property="{name}" content="{html.escape(text)}">' for name, text in told.items()]
        return "\n".join([*elements, '<meta name="twitter:card" content="summary">'])

    async def picture(self, request: Request) -> Response:
        """The picture of the shape that a link names, if it is known; else 404."""
        found = await self._known(request.query_params)
        if found is None:
            return Response(status_code=404)
        file = await self._behind.generator.write(_PNG, found, calls.current())
        headers = {"Cache-Control": f"public, max-age={_HOUR}", "X-Content-Type-Options": "nosniff"}
        return Response(file.content, headers=headers, media_type=_PNG.media_type)

    async def _known(self, link: QueryParams) -> Shape | None:
        generator = self._behind.generator
        if generator.settings.api_key is not None or generator.settings.api_keys_file is not None:
            return None
        with suppress(XCubeError, ValidationError, ValueError):
            asked = _asked(link)
            if isinstance(asked, VariationRequest):
                asked = await self._behind.shapes.request(asked, generator, self._behind.jobs)
            return None if asked.seed is None else await generator.known(asked, calls.current())
        return None


def _asked(link: QueryParams) -> GenerateRequest | VariationRequest:
    """The request in a link, as `api/http/ui/request.js` writes it.

    Raises:
        ValueError, ValidationError: it makes no sense, or starts from a file, which no link holds.
    """
    if "file" in link:
        raise ValueError("a file")
    fields = _fields(link)
    if "of" not in link:
        return GenerateRequest.model_validate(fields)
    of = _fields(QueryParams(link["of"]))
    corners = [float(text) for text in link["box"].split(",")] if "box" in link else []
    box = [corners[:3], corners[3:]] if len(corners) == _BOX else None
    strength = float(link.get("strength", ""))
    return VariationRequest.model_validate({**fields, "of": {"request": of}, "strength": strength, "box": box})


def _fields(link: QueryParams) -> dict[str, Any]:
    steps = link.get("fine_steps")
    interval = [float(link.get("guidance_from", 0.0)), float(link.get("guidance_to", 1.0))]
    return {
        "prompt": link.get("prompt", "").strip(),
        "ddim_steps": int(link.get("steps", 100)),
        "guidance_scale": float(link.get("guidance", 7.5)),
        "use_fine": link.get("fine") != "0",
        "seed": int(link["seed"]) if "seed" in link else None,
        "scheduler": link.get("scheduler", "ddim"),
        "fine_steps": None if steps is None else int(steps),
        "guidance_interval": interval,
    }
