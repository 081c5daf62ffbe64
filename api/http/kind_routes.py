"""GET and POST /kinds: what the models know, and whether they know a prompt, before anybody waits for a shape."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api import call as calls
from api.http.behind import Behind
from api.http.describing import BODY, as_json, body_for, operation
from api.schemas import PromptRequest


class KindRoutes:
    """The endpoints."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def routes(self) -> list[BaseRoute]:
        """Routes for a Starlette application."""
        return [
            Route("/kinds", self._list, methods=["GET"]),
            Route("/kinds", self._recognise, methods=["POST"]),
        ]

    @staticmethod
    def described() -> dict[str, Any]:
        """See `endpoints.Group`."""
        kinds = {200: {"description": "the kinds", "content": as_json("Kinds")}}
        known = {200: {"description": "what is known of the prompt", "content": as_json("Recognition")}}
        common = frozenset({500, 503})
        ask = operation(
            "recognise", "Whether the models know a prompt", known, BODY | common | {504}, body_for("/kinds")
        )
        return {"/kinds": {"get": operation("kinds", "What the models know", kinds, common | {401, 405}), "post": ask}}

    async def _list(self, _: Request) -> Response:
        await self._behind.readiness.opened()
        kinds = self._behind.readiness.status().kinds
        return JSONResponse({"kinds": [{"name": name, "names": [name, *others]} for name, others in kinds.items()]})

    async def _recognise(self, request: Request) -> Response:
        asked = PromptRequest.model_validate_json(await request.body())  # checked by the gate already
        found = await self._behind.readiness.recognise(asked.prompt, calls.current())
        return JSONResponse(
            {"known": found.known, "kinds": found.kinds, "nearest_kinds": found.nearest, "warnings": found.warnings}
        )
