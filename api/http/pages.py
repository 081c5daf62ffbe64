"""What GET serves in addition to BentoML's own routes: index, health, documentation. No page needs internet access."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from api.errors import problem_of
from api.http.forwarded import prefix_of
from api.http.job_routes import JobRoutes
from api.http.model_routes import ModelRoutes, Readiness
from api.http.openapi import document
from api.http.web_page import page_or, ui_routes
from api.jobs.service import Jobs
from api.messages import Status
from api.telemetry import metrics_page
from models.errors import XCubeError
from models.version import service_version

STATIC = Path(__file__).parent / "static"
_LINKS = {
    "generate": "/generate",
    "ui": "/ui/",
    "docs": "/docs",
    "redoc": "/redoc",
    "openapi": "/openapi.json",
    "health": "/health",
}
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; frame-ancestors 'none'"
}


class Pages:
    """The routes of the application `app`, which exists before the service; `connect` tells it what to show."""

    def __init__(self) -> None:
        self._models = ModelRoutes()
        self._infrastructure: Callable[[], dict[str, Any]] = dict
        self._jobs = JobRoutes()
        self.app = Starlette(
            routes=[
                Route("/", page_or(self._index)),
                Route("/health", self._health),
                Route("/metrics", metrics_page.show),
                Route("/openapi.json", self._openapi),
                Route("/docs", self._page("docs.html")),
                Route("/redoc", self._page("redoc.html")),
                Mount("/static", StaticFiles(directory=STATIC)),
                *self._jobs.routes(),
                *self._models.routes(),
                *ui_routes(),
            ],
            exception_handlers={XCubeError: _error},
        )

    def connect(self, readiness: Readiness, jobs: Jobs, infrastructure: Callable[[], dict[str, Any]]) -> None:
        """Tells the routes what they are about, before the first request.

        Args:
            readiness: Says what can be served now.
            jobs: The jobs of this process.
            infrastructure: Gives the paths that BentoML documents by itself.
        """
        self._models.readiness, self._jobs.jobs, self._infrastructure = readiness, jobs, infrastructure

    def _status(self) -> Status:
        return self._models.readiness.status()

    async def _index(self, request: Request) -> Response:
        about = {"name": "xcube", "version": service_version(), "models": self._status().model_set or None}
        return _json({**about, **{name: prefix_of(request.scope) + path for name, path in _LINKS.items()}})

    async def _health(self, _: Request) -> Response:
        return _json(self._status().health.model_dump())

    async def _openapi(self, request: Request) -> Response:
        return _json(document(service_version(), self._infrastructure(), prefix_of(request.scope)))

    def _page(self, name: str) -> Callable[[Request], Any]:
        async def page(_: Request) -> Response:
            return FileResponse(STATIC / name, media_type="text/html", headers=_PAGE_HEADERS)

        return page


async def _error(_: Request, error: Exception) -> Response:
    problem = problem_of(error)
    return Response(problem.body(), problem.status, problem.headers(), "application/json")


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
