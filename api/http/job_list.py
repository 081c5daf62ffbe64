"""GET /jobs: the jobs of a client, page by page."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api import call as calls
from api.errors import Forbidden, InvalidRequest
from api.http.behind import Behind
from api.http.describing import as_json, operation
from api.http.job_answers import describe
from api.jobs.record import STATES, State
from api.parsing import sentence_of

MOST = 100
DEFAULT = 20


class _Page(BaseModel):
    """What a client may ask for. `before`: what the page before called `next`."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=MOST)] = DEFAULT
    before: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class JobListRoutes:
    """The endpoint.

    A client sees the jobs that were made with its key. Whoever knows the id of a job can read, cancel and remove it, so
    a list is for nobody else: a service without a key, where all are strangers to one another, gives none.
    """

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def routes(self) -> list[BaseRoute]:
        """Routes for a Starlette application."""
        return [Route("/jobs", self._list, methods=["GET"])]

    @staticmethod
    def described() -> dict[str, Any]:
        """See `endpoints.Group`."""
        parameters = [
            _parameter("state", {"enum": list(STATES)}, "only jobs in this state"),
            _parameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT}, "most jobs"),
            _parameter("before", {"type": "string"}, "the next page: `next` of the page before it"),
        ]
        answer = {"description": "jobs that were made with the same key, the latest first", "content": as_json("Jobs")}
        listed = operation("list_jobs", "List jobs", {200: answer}, {400, 401, 403, 405, 500, 503})
        return {"/jobs": {"get": {**listed, "parameters": parameters}}}

    async def _list(self, request: Request) -> Response:
        jobs = self._behind.jobs
        client = calls.current().client.name
        if client is None:
            raise Forbidden(
                "Without a key nobody could tell whose jobs are whose: set XCUBE_API_KEY or XCUBE_API_KEYS_FILE to "
                "list jobs."
            )
        try:
            page = _Page.model_validate(dict(request.query_params))
        except ValidationError as error:
            raise InvalidRequest(f"{sentence_of(error)}: correct the parameters of the URL.") from None
        records = await jobs.store.find(client, page.state, page.before, page.limit + 1)
        shown = records[: page.limit]
        next_ = str(shown[-1].number) if len(records) > len(shown) else None
        content = {"jobs": [await describe(jobs, record) for record in shown], "next": next_}
        return Response(orjson.dumps(content), media_type="application/json")


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}
