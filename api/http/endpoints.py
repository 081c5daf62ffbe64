"""All that is served in addition to the operations of BentoML's service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.errors import problem_of
from api.generation.generator import Generator
from api.http import openapi
from api.http.behind import Behind
from api.http.forwarded import prefix_of
from api.http.given import ShapeReader
from api.http.job_events import JobEventRoutes
from api.http.job_list import JobListRoutes
from api.http.job_routes import JobRoutes
from api.http.kind_routes import KindRoutes
from api.http.mesh_routes import MeshRoutes
from api.http.model_routes import ModelRoutes
from api.http.pages import PageRoutes
from api.jobs.service import Jobs
from api.telemetry import metrics_page
from models.errors import XCubeError
from models.version import service_version


class Group(Protocol):
    """The routes of one file."""

    def __init__(self, behind: Behind) -> None:
        """`behind` is filled before the first request."""

    def routes(self) -> list[BaseRoute]:
        """Routes for a Starlette application."""

    @staticmethod
    def described() -> dict[str, Any]:
        """Their paths for the OpenAPI document."""


GROUPS: tuple[type[Group], ...] = (
    JobRoutes,
    JobListRoutes,
    JobEventRoutes,
    KindRoutes,
    PageRoutes,
    ModelRoutes,
    MeshRoutes,
)


class Endpoints:
    """The routes of the application `app`, which exists before the service; `connect` tells it what to show."""

    def __init__(self) -> None:
        self._behind = Behind()
        self._infrastructure: Callable[[], dict[str, Any]] = dict
        routes = [route for group in GROUPS for route in group(self._behind).routes()]
        routes += [Route("/metrics", metrics_page.show), Route("/openapi.json", self._openapi)]
        self.app = Starlette(routes=routes, exception_handlers={XCubeError: _error})

    def connect(self, generator: Generator, jobs: Jobs, infrastructure: Callable[[], dict[str, Any]]) -> None:
        """Tells the routes what they are about, before the first request.

        Args:
            generator: Makes shapes, and says what can be served now.
            jobs: The jobs of this process.
            infrastructure: Gives the paths that BentoML documents by itself.
        """
        self._behind.readiness = self._behind.generator = generator
        self._behind.jobs, self._infrastructure = jobs, infrastructure

    @property
    def shapes(self) -> ShapeReader:
        """Who reads the shapes of requests, by whichever way they come."""
        return self._behind.shapes

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(document(service_version(), self._infrastructure(), prefix_of(request.scope)))


def document(version: str, infrastructure: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The OpenAPI document of the whole service; see `openapi.document`."""
    ours: dict[str, Any] = {}
    for group in GROUPS:
        for path, item in group.described().items():
            ours[path] = ours.get(path, {}) | item
    return openapi.document(version, infrastructure, ours, prefix)


async def _error(_: Request, error: Exception) -> Response:
    problem = problem_of(error)
    return Response(problem.body(), problem.status, problem.headers(), "application/json")
