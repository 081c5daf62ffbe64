"""GET /jobs/{id}/events: the progress of a job as server-sent events, which a client that was cut off goes on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from api.errors import JobsUnavailable, NotFound
from api.http.behind import Behind
from api.http.describing import as_events, operation
from api.http.job_answers import describe, find
from api.http.streaming import EVENTS, HEADERS, HEARTBEAT, HEARTBEAT_SECONDS, event_text
from api.jobs.record import ENDED, Record

PERIOD = 1.0
"""Seconds between two looks at a job, which any process may run."""
_NAMES = {"pending": "queued", "in_progress": "progress"}


class JobEventRoutes:
    """The endpoint.

    Every event holds the whole job, so that a client which has missed some needs the latest alone. Its id tells what
    the client has seen: the same id comes only once, however often the client connects.
    """

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def routes(self) -> list[BaseRoute]:
        """Routes for a Starlette application."""
        return [Route("/jobs/{id}/events", self._events, methods=["GET"])]

    @staticmethod
    def described() -> dict[str, Any]:
        """See `endpoints.Group`."""
        stream = {
            "description": "the job, again and again as it changes, until it has ended",
            "content": as_events("JobEvent"),
        }
        seen = {"description": "the job has ended, and the client has seen that"}
        watched = operation("watch_job", "The progress of a job as events", {200: stream, 204: seen}, _FAILURES)
        id_ = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
        last = {
            "name": "Last-Event-ID", "in": "header", "schema": {"type": "string"},
            "description": "id of the last event that was seen; browsers send it by themselves",
        }  # fmt: skip
        return {"/jobs/{id}/events": {"parameters": [id_, last], "get": watched}}

    async def _events(self, request: Request) -> Response:
        seen = request.headers.get("last-event-id")
        record = await find(self._behind.jobs, request.path_params["id"])
        job = await describe(self._behind.jobs, record)
        if record.state in ENDED and _id(record, job) == seen:
            return Response(status_code=204)  # which tells a browser not to connect again
        return StreamingResponse(self._stream(record, job, seen), media_type=EVENTS, headers=HEADERS)

    async def _stream(self, record: Record, job: dict[str, Any], seen: str | None) -> AsyncIterator[bytes]:
        loop, jobs = asyncio.get_running_loop(), self._behind.jobs
        told = loop.time()
        while True:
            id_ = _id(record, job)
            if id_ != seen:
                yield event_text(_NAMES.get(record.state, record.state), orjson.dumps(job), id_)
                seen, told = id_, loop.time()
            elif loop.time() - told >= HEARTBEAT_SECONDS:
                yield HEARTBEAT
                told = loop.time()
            if record.state in ENDED or await jobs.stops_within(PERIOD):
                return
            try:
                record = await find(jobs, record.id)
                job = await describe(jobs, record)
            except JobsUnavailable:
                continue  # as long as nobody knows, nothing has changed
            except NotFound:
                return  # it was removed, which the client's next request is told


_FAILURES = {401, 404, 405, 500, 503}


def _id(record: Record, job: dict[str, Any]) -> str:
    place = "m" if job["waits_for"] == "models" else job["position"] or 0
    return f"{record.changes}.{place}"
