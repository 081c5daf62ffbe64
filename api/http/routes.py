"""Every path of the service in one table: its body, who may call it without the key, its place in metrics and log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from api.given import RefineRequest, VariationRequest
from api.http.mesh_schemas import MeshRequest
from api.process.probes import INFERENCE, PROBES
from api.schemas import BatchRequest, GenerateRequest, JobRequest, NoParameters, PromptRequest

Access = Literal["key", "open", "page"]
READ = ("GET", "HEAD")
OTHER = "other"
"""The label in metrics of all paths that the service does not have."""


@dataclass(frozen=True)
class Route:
    """One path, and the paths below it.

    Attributes:
        path: How it begins, up to the second slash, or the third in what is built for others' clients; the label of
            metrics for all that lies below it.
        body: The JSON that a POST to the path itself carries; the gate reads, checks and rewrites it. None: the code
            behind the gate reads the body, if there is one.
        access: `key` asks for the API key wherever one is set, `open` only with XCUBE_API_KEY_EVERYWHERE. `page` lets
            everybody read: a browser cannot send a key when it opens a page, and these files hold no secret.
        methods: Those of the path itself.
        item_methods: Those of the paths right below it.
        below: Whether what is `open` is so for the paths below it too.
        shapes: Whether the body may hold a shape, and be as long as one.
        quiet: Whether machines call it every few seconds, so that the log tells of failures alone.
    """

    path: str
    body: type[BaseModel] | None = None
    access: Access = "key"
    methods: tuple[str, ...] = READ
    item_methods: tuple[str, ...] = READ
    below: bool = False
    shapes: bool = False
    quiet: bool = False

    def is_open(self, method: str, path: str, *, everywhere: bool) -> bool:
        """Whether a request needs no key.

        Args:
            method: HTTP method in capitals.
            path: The whole path, of which this is the route.
            everywhere: Whether open paths are closed as well.
        """
        if self.access == "page":
            return method in ("GET", "HEAD")
        return self.access == "open" and (path == self.path or self.below) and not everywhere


ROUTES = (
    Route("/generate", GenerateRequest, methods=("POST",)),
    Route("/generate_stream", GenerateRequest, methods=("POST",)),
    Route("/refine", RefineRequest, methods=("POST",), shapes=True),
    Route("/variations", VariationRequest, methods=("POST",), shapes=True),
    Route("/batch_generate", BatchRequest, methods=("POST",)),
    Route("/kinds", PromptRequest, methods=(*READ, "POST")),
    Route("/jobs", JobRequest, methods=(*READ, "POST"), item_methods=(*READ, "DELETE")),
    Route("/v1/models"),
    Route("/v1/meshes", MeshRequest, methods=("POST",), item_methods=(*READ, "DELETE")),
    Route("/health", NoParameters, access="open", methods=(*READ, "POST"), quiet=True),
    *(Route(path, access="open", quiet=True) for path in PROBES),
    Route(INFERENCE, access="open", below=True, quiet=True),
    *(Route(path, access="page") for path in ("/ui", "/docs", "/redoc", "/static", "/openapi.json")),
    *(Route(path) for path in ("/", "/docs.json", "/schema.json")),
)
_BY_PATH = {route.path: route for route in ROUTES}
_UNKNOWN = Route(OTHER)


def route_of(path: str) -> Route:
    """The route that a path belongs to; one with the path `OTHER`, closed and without a body, if there is none."""
    if not path.startswith("/"):
        return _UNKNOWN
    parts = path.split("/", 3)
    return _BY_PATH.get("/".join(parts[:3])) or _BY_PATH.get("/".join(parts[:2]), _UNKNOWN)


def body_of(method: str, path: str) -> type[BaseModel] | None:
    """What the body of a request has to be; None where the gate does not read it."""
    route = route_of(path)
    return route.body if method == "POST" and path == route.path else None


def takes_shapes(path: str) -> bool:
    """Whether a body that is sent to a path may be as long as a shape."""
    return route_of(path).shapes


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that a path has, for the header Allow: GET and POST of one path are answered in different places."""
    route = route_of(path)
    if path == route.path:
        return route.methods
    return route.item_methods if path.count("/") == route.path.count("/") + 1 else READ
