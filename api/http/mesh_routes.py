"""GET /v1/models, POST /v1/meshes and what lies below: for clients that are made for OpenAI's API.

OpenAI has no path for 3-D. Serving engines have given it the words of those for videos, an object to ask again about,
and this service also those for images, files in Base64. An object is a job, so the paths of jobs know it too.
"""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api import call as calls
from api.call import Call
from api.errors import InvalidRequest, NotFound
from api.generation.timings import Timings
from api.http.behind import Behind
from api.http.describing import BODY, WORK, as_json, body_for, operation
from api.http.forwarded import prefix_of
from api.http.job_answers import find
from api.http.job_orders import accept, end
from api.http.job_results import as_result, check_made
from api.http.mesh_schemas import MeshRequest
from api.http.meshes import Kind, describe, kind_of
from api.schemas import GenerateRequest, JobRequest, random_seed
from models.kinds import nearest_in
from models.variants import variant_seeds

OWNER = "xcube-serve"
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_COMMON = frozenset({401, 404, 405, 500, 503})


class MeshRoutes:
    """The endpoints."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind
        self._began = int(time.time())

    def routes(self) -> list[BaseRoute]:
        """Routes for a Starlette application."""
        return [
            Route("/v1/models", self._models, methods=["GET"]),
            Route("/v1/models/{id}", self._model, methods=["GET"]),
            Route("/v1/meshes", self._make, methods=["POST"]),
            Route("/v1/meshes/{id}", self._show, methods=["GET"]),
            Route("/v1/meshes/{id}", self._remove, methods=["DELETE"]),
            Route("/v1/meshes/{id}/content", self._content, methods=["GET"]),
        ]

    @staticmethod
    def described() -> dict[str, Any]:
        """See `endpoints.Group`."""

        def get(name: str, summary: str, content: dict[str, Any]) -> dict[str, Any]:
            found = {200: {"description": "as it says", "content": content}}
            return operation(name, summary, found, _COMMON, error="OpenAIError")

        mesh, models, model = as_json("Mesh"), as_json("OpenAIModels"), as_json("OpenAIModel")
        made = {
            "application/json": {
                "schema": {
                    "anyOf": [mesh["application/json"]["schema"], as_json("Meshes")["application/json"]["schema"]]
                }
            }
        }
        make = operation(
            "create_mesh",
            "Make meshes, as clients of OpenAI's API ask for images or videos",
            {200: {"description": "the files, or an object to ask again about", "content": made}},
            BODY | WORK | {404, 507},
            body_for("/v1/meshes"),
            error="OpenAIError",
        )
        removed = operation(
            "delete_mesh",
            "Cancel or remove a mesh",
            {200: {"description": "the mesh", "content": mesh}},
            _COMMON | {507},
            error="OpenAIError",
        )
        content = operation(
            "mesh_content",
            "The file of a mesh",
            {200: {"description": "the file", "content": {"model/*": {}}}},
            _COMMON | {409, 410, 422},
            error="OpenAIError",
        )
        return {
            "/v1/models": {"get": get("list_models", "The models that are served, as OpenAI's API lists them", models)},
            "/v1/models/{id}": {"parameters": [_ID], "get": get("show_model", "One of them", model)},
            "/v1/meshes": {"post": make},
            "/v1/meshes/{id}": {
                "parameters": [_ID], "get": get("show_mesh", "The progress of a mesh", mesh), "delete": removed
            },
            "/v1/meshes/{id}/content": {"parameters": [_ID], "get": content},
        }  # fmt: skip

    async def _models(self, _: Request) -> Response:
        name = self._served()
        return JSONResponse({"object": "list", "data": [self._about(name)] if name else []})

    async def _model(self, request: Request) -> Response:
        self._check_model(request.path_params["id"])
        return JSONResponse(self._about(request.path_params["id"]))

    async def _make(self, request: Request) -> Response:
        order = MeshRequest.model_validate_json(await request.body())  # checked by the gate already
        if order.model is not None:
            await self._behind.generator.opened()
            self._check_model(order.model)
        kind = Kind(order.output_format or "glb", order.size)
        kind.check()
        if order.response_format == "b64_json":
            return await self._files(order, kind)
        if (order.n or 1) > 1:
            raise InvalidRequest(
                "n above 1 needs the files themselves: send response_format b64_json, or a request a shape."
            )
        record = await accept(self._behind, JobRequest(**order.parameters()))
        return await self._answer(request, f"{record.id}{kind.mark}")

    async def _files(self, order: MeshRequest, kind: Kind) -> Response:
        call = calls.current()
        seeds = variant_seeds(random_seed() if order.seed is None else order.seed, order.n or 1)
        files = await asyncio.gather(*(self._file(order, kind, seed, call.part()) for seed in seeds))
        call.headers["X-Seed"] = str(seeds[0])
        body = {"created": int(time.time()), "model": self._served(), "output_format": kind.format.name, "data": files}
        return Response(orjson.dumps(body), media_type="application/json")

    async def _file(self, order: MeshRequest, kind: Kind, seed: int, call: Call) -> dict[str, Any]:
        generator = self._behind.generator
        await generator.opened()
        asked = GenerateRequest(**{**order.parameters(), "seed": seed})
        result = await generator.known(asked, call)
        if result is None:
            result = await generator.run(asked, call, Timings())
        file = await generator.write(kind.format, result, call, kind.options)
        encoded = await asyncio.to_thread(base64.b64encode, file.content)
        told = {"warnings": list(result.warnings), "nearest_kinds": nearest_in(result.warnings)}
        return {"b64_json": encoded.decode(), "seed": seed, "seed_text": str(seed), **told}

    async def _show(self, request: Request) -> Response:
        return await self._answer(request, request.path_params["id"])

    async def _answer(self, request: Request, name: str) -> Response:
        id_, kind = kind_of(name)
        record = await find(self._behind.jobs, id_)
        place = f"{request.url.scheme}://{request.url.netloc}{prefix_of(request.scope)}/v1/meshes/{name}/content"
        mesh = describe(record, name, kind, self._served(), place, self._behind.jobs.settings.job_retention_seconds)
        return Response(orjson.dumps(mesh), media_type="application/json")

    async def _remove(self, request: Request) -> Response:
        name = request.path_params["id"]
        id_, kind = kind_of(name)
        record = await find(self._behind.jobs, id_)
        await end(self._behind.jobs, record)
        mesh = describe(record, name, kind, self._served(), None, self._behind.jobs.settings.job_retention_seconds)
        return Response(orjson.dumps({**mesh, "status": "deleted"}), media_type="application/json")

    async def _content(self, request: Request) -> Response:
        id_, kind = kind_of(request.path_params["id"])
        record = await find(self._behind.jobs, id_)
        check_made(record)
        return await as_result(self._behind.jobs, record, kind.format, kind.options)

    def _served(self) -> str:
        """The name of the models that are served; empty while there are none."""
        return self._behind.readiness.status().model_set

    def _check_model(self, name: str) -> None:
        if name != self._served():
            known = self._served() or "none yet"
            raise NotFound(f"There is no model {name[:80]!a} here: leave it out, or name what there is: {known}.")

    def _about(self, name: str) -> dict[str, Any]:
        presets = self._behind.readiness.status().health.presets
        return {"id": name, "object": "model", "created": self._began, "owned_by": OWNER, "presets": presets}
