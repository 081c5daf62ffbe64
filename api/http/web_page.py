"""The web page: static files under /ui/, with what a link tells, and the choice between page and JSON at `/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.http.accept import accept_of, prefers
from api.http.shared_links import PICTURE, SharedLinks

FILES = Path(__file__).parent / "ui"
# Systems disagree about these, and a browser runs no module of another type.
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"
}  # fmt: skip
_DAY = 86_400
_HTML = "text/html"

Endpoint = Callable[[Request], Awaitable[Response]]


class _Files(StaticFiles):
    """The page's files. Vendored ones have their version in their name; the others are checked for news each time."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        served = Path("index.html") if path in ("", ".") else Path(path)
        if served.suffix in _MEDIA_TYPES:
            response.headers["Content-Type"] = _MEDIA_TYPES[served.suffix]
        vendored = served.parts[0] == "vendor"
        response.headers["Cache-Control"] = f"public, max-age={365 * _DAY}, immutable" if vendored else "no-cache"
        response.headers.update(_HEADERS)
        return response


def ui_routes(links: SharedLinks | None = None) -> list[BaseRoute]:
    """The routes of the page. Its links are relative, so it works behind a proxy under any prefix.

    Args:
        links: Tells of links to shapes; None tells nothing.
    """
    files = _Files(directory=FILES, html=True)

    async def page(request: Request) -> Response:
        tags = await links.tags(request) if links is not None else ""
        if not tags:
            return await files.get_response(".", request.scope)
        text = (FILES / "index.html").read_text(encoding="utf-8").replace("</title>", f"</title>\n{tags}", 1)
        return Response(text, headers={**_HEADERS, "Cache-Control": "no-cache"}, media_type=_HTML)

    pictures = [] if links is None else [Route(f"/{PICTURE}", links.picture)]
    below = Router([Route("/", page), *pictures, Mount("/", files)])
    return [Route("/ui", _to_page), Mount("/ui", GZipMiddleware(below, minimum_size=1024))]


def wants_page(headers: Headers) -> bool:
    """Whether a client at `/` asks for the page, as browsers do, and not for JSON."""
    return prefers(accept_of(headers), _HTML, ["application/json"])


def page_or(index: Endpoint) -> Endpoint:
    """An endpoint for `/`: browsers, which ask for HTML, are sent to the page; all others get `index`."""

    async def endpoint(request: Request) -> Response:
        if wants_page(request.headers):
            response = await _to_page(request)
        else:
            response = await index(request)
        response.headers["Vary"] = "Accept"
        return response

    return endpoint


async def _to_page(_: Request) -> Response:
    return RedirectResponse("ui/", 307)
