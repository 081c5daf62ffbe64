"""POST /jobs, GET and DELETE /jobs/{id}, GET /jobs/{id}/result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api import call as calls
from api.errors import (
    IdempotencyConflict,
    InvalidRequest,
    JobCanceled,
    JobNotFinished,
    QueueFull,
    error_of_code,
)
from api.http.behind import Behind
from api.http.describing import BODY, FORMAT, KNOWN, NOT_MODIFIED, OPTIONS, WORK, as_files, as_json, body_for, operation
from api.http.etags import ANY, etag, has, not_modified
from api.http.job_answers import describe, find
from api.http.negotiation import wanted
from api.http.responses import as_file, for_caches
from api.jobs.models import models_of
from api.jobs.record import ENDED, Record
from api.jobs.store import RETRY_FULL_SECONDS, NewJob
from api.schemas import GenerateRequest, JobRequest, random_seed, steps_of
from models.version import service_version

LONGEST_KEY = 255
RETRY_SECONDS = 2.0
_OF_CLIENT = "\x1f"
"""Between a client's name and its idempotency key; no header can have it."""
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
        gone = {"description": "the finished job was removed"}
        tag = {"ETag": {"schema": {"type": "string"}, "description": "names these bytes, for If-None-Match"}}
        shape = {"description": "the shape", "headers": tag, "content": as_files()}
        add = operation(
            "add_job", "Start a generation without a deadline", {202: job}, BODY | WORK | {409, 507}, body_for("/jobs")
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
        client, steps = calls.current().client, steps_of(order)
        if order.webhook is not None:
            self._behind.jobs.webhooks.check(order.webhook, client)
        job = NewJob(
            request=order.model_dump_json(exclude={"webhook"}),
            seed=random_seed() if order.seed is None else order.seed,
            key=key if key is None or not client.alone else f"{client.name}{_OF_CLIENT}{key}",
            client=client.name,
            models=models_of(self._behind.readiness.status()),
            share=client.share,
            cost=steps / client.weight,
            most_own=client.quota.waiting_jobs,
            webhook=order.webhook,
        )
        quotas = self._behind.jobs.quotas
        quotas.spend(client, steps)
        record = None
        try:
            record = await self._behind.jobs.store.add(job, self._behind.jobs.settings.max_jobs)
        finally:
            if record is None or record.id != job.id:
                quotas.give_back(client, steps)
        if record is None:
            most = self._behind.jobs.settings.max_jobs
            raise QueueFull(f"{most} jobs are already waiting: try again later.", retry_after=RETRY_FULL_SECONDS)
        if (record.request, record.webhook) != (job.request, job.webhook):
            raise IdempotencyConflict("This Idempotency-Key already belongs to another request: send a new one.")
        self._behind.jobs.runner.wake()
        return await self._answer(record, 202, {"Location": f"/jobs/{record.id}"})

    async def _show(self, request: Request) -> Response:
        record = await find(self._behind.jobs, request.path_params["id"])
        return await self._answer(record)

    async def _cancel(self, request: Request) -> Response:
        record = await find(self._behind.jobs, request.path_params["id"])
        if record.state not in ENDED and await self._behind.jobs.store.cancel(record.id):
            self._behind.jobs.runner.drop(record.id)
            record = await find(self._behind.jobs, request.path_params["id"])
            return await self._answer(record)
        await self._behind.jobs.store.remove(record.id)
        return Response(status_code=204)

    async def _result(self, request: Request) -> Response:
        record = await find(self._behind.jobs, request.path_params["id"])
        match record.state:
            case "failed":
                raise error_of_code(record.code or "internal", record.error or "")
            case "canceled":
                raise JobCanceled("This job was canceled: send the request again as a new job.")
            case "pending" | "in_progress":
                raise JobNotFinished(f"This job is {record.state}: ask again later.", retry_after=RETRY_SECONDS)
        call = calls.current()
        format_, options = wanted(call)
        asked = GenerateRequest.model_validate_json(record.request).model_copy(update={"seed": record.seed})
        # The result of a job never changes, whoever made it.
        tag = etag(f"{record.id}; {record.models}", asked, format_, options)
        if tag is not None and (has(call.known, tag) or call.known == ANY) and not call.anew:
            return not_modified(tag, record.seed, for_caches(format_, options))
        result = await self._behind.jobs.store.result(record)
        result = replace(result, prompt=asked.prompt)
        call.headers["X-Seed"] = str(record.seed)
        if record.warnings:
            call.headers["X-XCube-Warning"] = "; ".join(record.warnings)
        file = await self._behind.jobs.writer.write(format_, result, service_version(), options)
        return as_file(file, format_, options, f"xcube-{record.seed}", tag)

    async def _answer(self, record: Record, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        body = orjson.dumps(await describe(self._behind.jobs, record))
        return Response(body, status, headers, media_type="application/json")
