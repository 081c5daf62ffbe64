"""What is served by GET beside BentoML's own routes: index, health, documentation. No page needs internet access."""

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

from api import exposition
from api.openapi import document
from api.schemas import Health
from api.ui_app import page_or, ui_routes
from api.version import service_version

STATIC = Path(__file__).parent / "static"
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; frame-ancestors 'none'"
}


class Pages:
    """The routes, and what they show. `health` and `infrastructure` are set by the service when it starts."""

    def __init__(self) -> None:
        self.health: Callable[[], Health]
        self.infrastructure: Callable[[], dict[str, Any]] = dict
        self.app = Starlette(
            routes=[
                Route("/", page_or(self._index)),
                Route("/health", self._health),
                Route("/metrics", exposition.show),
                Route("/openapi.json", self._openapi),
                Route("/docs", self._page("docs.html")),
                Route("/redoc", self._page("redoc.html")),
                Mount("/static", StaticFiles(directory=STATIC)),
                *ui_routes(),
            ]
        )

    async def _index(self, _: Request) -> Response:
        links = {"ui": "/ui/", "docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json", "health": "/health"}
        return _json({"name": "xcube", "version": service_version(), "generate": "/generate", **links})

    async def _health(self, _: Request) -> Response:
        return _json(self.health().model_dump())

    async def _openapi(self, _: Request) -> Response:
        return _json(document(service_version(), self.infrastructure()))

    def _page(self, name: str) -> Callable[[Request], Any]:
        async def page(_: Request) -> Response:
            return FileResponse(STATIC / name, media_type="text/html", headers=_PAGE_HEADERS)

        return page


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
