"""GET / and /health, and the pages that people open. None of them needs internet access."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from api.http.behind import Behind
from api.http.describing import BODY, as_json, as_text, operation, page
from api.http.forwarded import prefix_of
from api.http.shared_links import SharedLinks
from api.http.web_page import page_or, ui_routes
from api.schemas import NoParameters
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


class PageRoutes:
    """The endpoints."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def routes(self) -> list[BaseRoute]:
        """Routes for a Starlette application."""
        return [
            Route("/", page_or(self._index)),
            Route("/health", self._health),
            Route("/docs", self._page("docs.html")),
            Route("/redoc", self._page("redoc.html")),
            Mount("/static", StaticFiles(directory=STATIC)),
            *ui_routes(SharedLinks(self._behind)),
        ]

    @staticmethod
    def described() -> dict[str, Any]:
        """See `endpoints.Group`."""
        health = {200: {"description": "the health", "content": as_json("Health")}}
        about = "What the service is doing; always 200 while the process is alive"
        nothing = {"application/json": {"schema": NoParameters.model_json_schema()}}
        index = {"application/json": {"schema": {"type": "object"}}, **as_text("text/html")}
        return {
            "/health": {
                "get": operation("get_health", about, health, ()),
                "post": operation("post_health", about, health, BODY, nothing),
            },
            "/": {"get": page("index", "Name, version, model set and links; browsers are sent to the page", index)},
            "/docs": {"get": page("docs", "This documentation in Swagger UI", as_text("text/html"))},
            "/redoc": {"get": page("redoc", "This documentation in ReDoc", as_text("text/html"))},
        }

    async def _index(self, request: Request) -> Response:
        about = {
            "name": "xcube",
            "version": service_version(),
            "models": self._behind.readiness.status().model_set or None,
        }
        return JSONResponse({**about, **{name: prefix_of(request.scope) + path for name, path in _LINKS.items()}})

    async def _health(self, _: Request) -> Response:
        return JSONResponse(self._behind.readiness.status().health.model_dump())

    def _page(self, name: str) -> Callable[[Request], Any]:
        async def page(_: Request) -> Response:
            return FileResponse(STATIC / name, media_type="text/html", headers=_PAGE_HEADERS)

        return page
