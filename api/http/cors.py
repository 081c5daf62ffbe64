"""Which pages of other origins a browser lets call the service, what they may send and what they may read."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from api.errors import InvalidRequest, problem_of
from api.http.headers import secure
from api.origins import origins_of

App = object
METHODS = ("GET", "HEAD", "POST", "DELETE")
SENT = (
    "Content-Type", "Authorization", "X-API-Key", "X-Request-ID", "Idempotency-Key", "traceparent", "tracestate",
    "baggage", "Last-Event-ID", "If-None-Match", "Cache-Control",
)  # fmt: skip
"""Headers of requests that the documentation names, beside those that every page may send."""
READABLE = (
    "X-Request-ID", "X-Seed", "X-Seeds", "X-XCube-Warning", "X-XCube-Nearest-Kinds", "Server-Timing", "Retry-After",
    "Location",
    "Content-Disposition", "Allow", "WWW-Authenticate", "ETag",
    *(f"X-XCube-{fact}" for fact in ("Size", "Voxels", "Faces", "Removed", "Pieces", "Holes", "Watertight")),
    *(f"X-XCube-{fact}" for fact in ("Prompt", "Version", "Models")),
)  # fmt: skip


class Origins(CORSMiddleware):
    """Starlette's middleware with errors like any other."""

    def __init__(self, app: App, origins: str) -> None:
        super().__init__(
            app,  # type: ignore[arg-type]
            allow_origins=origins_of(origins),
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=READABLE,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser is told before it sends a page's request."""
        response = super().preflight_response(request_headers)
        if response.status_code >= 400:
            fault = bytes(response.body).decode()
            problem = problem_of(
                InvalidRequest(
                    f"This page may not send that request ({fault}): see XCUBE_CORS_ORIGINS in the settings."
                )
            )
            kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
            response = Response(problem.body(), problem.status, kept, "application/json")
        secure(response.headers)
        return response
