"""POST /refine: from a coarse shape to a fine one. POST /variations: from an earlier shape to one that resembles it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api import call as calls
from api.given import RefineRequest, VariationRequest
from api.http.behind import Behind
from api.http.describing import (
    ANEW,
    BODY,
    FORMAT,
    KNOWN,
    NOT_MODIFIED,
    OPTIONS,
    WORK,
    as_events,
    as_files,
    body_for,
    operation,
)
from api.http.variants import answer


class ShapeRoutes:
    """The endpoint."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def routes(self) -> list[BaseRoute]:
        """Routes for a Starlette application."""
        return [
            Route("/refine", self._refine, methods=["POST"]),
            Route("/variations", self._vary, methods=["POST"]),
        ]

    @staticmethod
    def described() -> dict[str, Any]:
        """See `endpoints.Group`."""
        shape = {
            "description": "the given shape and its fine one, as POST /generate answers, with the same headers",
            "content": {**as_files(), **as_events()},
        }
        refine = operation(
            "refine",
            "Turn a coarse shape and a prompt into a fine shape",
            {200: shape, 304: NOT_MODIFIED},
            BODY | WORK | {404, 406, 409, 410},
            body_for("/refine"),
        )
        varied = {**shape, "description": "the shape, as POST /generate answers, with the same headers"}
        variations = operation(
            "variations",
            "Make a shape that resembles an earlier one, or change a part of that",
            {200: varied, 304: NOT_MODIFIED},
            BODY | WORK | {404, 406, 409, 410},
            body_for("/variations"),
        )
        parameters = [FORMAT, KNOWN, ANEW, *OPTIONS]
        return {
            "/refine": {"post": {**refine, "parameters": parameters}},
            "/variations": {"post": {**variations, "parameters": parameters}},
        }

    async def _refine(self, request: Request) -> Response:
        return await self._answer(RefineRequest.model_validate_json(await request.body()))  # checked by the gate

    async def _vary(self, request: Request) -> Response:
        return await self._answer(VariationRequest.model_validate_json(await request.body()))

    async def _answer(self, asked: RefineRequest | VariationRequest) -> Response:
        given = await self._behind.shapes.request(asked, self._behind.generator, self._behind.jobs)
        return await answer(self._behind.generator, given, calls.current())
