"""POST /jobs, GET and DELETE /jobs/{id}, GET /jobs/{id}/result."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api import call as calls
from api.errors import InvalidRequest
from api.http.batch import check_count
from api.http.behind import Behind
from api.http.describing import BODY, FORMAT, KNOWN, NOT_MODIFIED, OPTIONS, WORK, as_files, as_json, body_for, operation
from api.http.job_answers import describe, find
from api.http.job_orders import accept_variants, end
from api.http.job_results import as_result, check_made
from api.http.negotiation import wanted
from api.jobs.record import Record
from api.schemas import JobRequest

LONGEST_KEY = 255
_JOB_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    "description": "the same key with the same request gives the same job",
}


class JobRoutes:
    """The endpoints."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def routes(self) -> list[BaseRoute]:
        """Routes for a Starlette application."""
        return [
            Route("/jobs", self._add, methods=["POST"]),
            Route("/jobs/{id}", self._show, methods=["GET"]),
            Route("/jobs/{id}", self._cancel, methods=["DELETE"]),
            Route("/jobs/{id}/result", self._result, methods=["GET"]),
        ]

    @staticmethod
    def described() -> dict[str, Any]:
        """See `endpoints.Group`."""
        job = {"description": "the job", "content": as_json("Job")}
        added = {"description": "the job; with n above 1, one job a variant", "content": as_json("Job", "JobVariants")}
        gone = {"description": "the finished job was removed"}
        tag = {"ETag": {"schema": {"type": "string"}, "description": "names these bytes, for If-None-Match"}}
        shape = {"description": "the shape", "headers": tag, "content": as_files()}
        add = operation(
            "add_job",
            "Start a generation without a deadline",
            {202: added},
            BODY | WORK | {404, 409, 410, 507},
            body_for("/jobs"),
        )
        common = frozenset({401, 404, 405, 500, 503})
        result = operation(
            "job_result", "The result of a job", {200: shape, 304: NOT_MODIFIED}, common | {400, 406, 409, 410, 422}
        )
        cancel = operation(
            "cancel_job", "Cancel a job, or remove a finished one", {200: job, 204: gone}, common | {507}
        )
        return {
            "/jobs": {"post": {**add, "parameters": [_KEY]}},
            "/jobs/{id}": {
                "parameters": [_JOB_ID],
                "get": operation("show_job", "The progress of a job", {200: job}, common),
                "delete": cancel,
            },
            "/jobs/{id}/result": {"parameters": [_JOB_ID, FORMAT, KNOWN, *OPTIONS], "get": result},
        }

    async def _add(self, request: Request) -> Response:
        order = JobRequest.model_validate_json(await request.body())  # checked by the gate already
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= LONGEST_KEY:
            raise InvalidRequest(f"Idempotency-Key has {len(key)} characters: send 1 to {LONGEST_KEY}.")
        check_count(order.n, self._behind.jobs.settings.max_batch)
        records = await accept_variants(self._behind, order, key)
        if order.n == 1:
            return await self._answer(records[0], 202, {"Location": f"/jobs/{records[0].id}"})
        jobs = [await describe(self._behind.jobs, record) for record in records]
        return Response(orjson.dumps({"jobs": jobs}), 202, media_type="application/json")

    async def _show(self, request: Request) -> Response:
        record = await find(self._behind.jobs, request.path_params["id"])
        return await self._answer(record)

    async def _cancel(self, request: Request) -> Response:
        record = await find(self._behind.jobs, request.path_params["id"])
        canceled = await end(self._behind.jobs, record)
        return Response(status_code=204) if canceled is None else await self._answer(canceled)

    async def _result(self, request: Request) -> Response:
        record = await find(self._behind.jobs, request.path_params["id"])
        check_made(record)
        return await as_result(self._behind.jobs, record, *wanted(calls.current()))

    async def _answer(self, record: Record, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        body = orjson.dumps(await describe(self._behind.jobs, record))
        return Response(body, status, headers, media_type="application/json")
