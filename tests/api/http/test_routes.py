"""One table has every path: what is served, documented, counted, logged and guarded agrees with it."""

from __future__ import annotations

import pytest
from starlette.routing import Route

from api.http.behind import Behind
from api.http.endpoints import GROUPS, Endpoints, Group, document
from api.http.routes import OTHER, ROUTES, body_of, route_of
from api.process.probes import INFERENCE, PROBES, is_always_answered

DOCUMENTED = document("0", {})["paths"]
PAGES = {"/ui", "/docs", "/redoc", "/static", "/openapi.json"}
PATHS = {route.path for route in ROUTES}


def first(path: str) -> str:
    return "/".join(path.split("/")[: 3 if path.startswith("/v1/") else 2]) or "/"


def test_all_that_is_served_or_documented_is_in_the_table() -> None:
    served = {first(getattr(route, "path", "/")) for route in Endpoints().app.routes}
    assert served | {first(path) for path in DOCUMENTED} <= PATHS


def test_each_body_that_the_gate_reads_is_documented_and_no_other() -> None:
    documented = {path for path, item in DOCUMENTED.items() if "requestBody" in item.get("post", {})}
    assert documented == {route.path for route in ROUTES if route.body is not None}


@pytest.mark.parametrize("group", GROUPS)
def test_a_file_describes_the_routes_that_it_has_and_no_others(group: type[Group]) -> None:
    served = {route.path for route in group(Behind()).routes() if isinstance(route, Route)}
    assert served - {"/ui"} == set(group.described())


@pytest.mark.parametrize("path", ["/generate/", "/jobs/1", "/nothing", "/health/x", "generate", "/v1/meshes/1", ""])
def test_only_a_post_to_the_path_itself_has_a_body_to_check(path: str) -> None:
    assert body_of("POST", path) is None
    assert body_of("GET", "/generate") is None


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/generate", "/generate"),
        ("/jobs/f00/result", "/jobs"),
        ("/ui/vendor/three.js", "/ui"),
        ("/v1/meshes/f00.glb/content", "/v1/meshes"),
        ("/v1/models/demo", "/v1/models"),
        ("/v1/chat/completions", OTHER),
        ("/v1", OTHER),
        ("/", "/"),
        ("/generateX", OTHER),
        ("/%00", OTHER),
        ("*", OTHER),
        ("", OTHER),
    ],
)
def test_metrics_know_a_path_by_its_route_or_not_at_all(path: str, label: str) -> None:
    assert route_of(path).path == label


@pytest.mark.parametrize("path", [*PROBES, "/health"])
def test_machines_ask_without_the_key_unless_it_is_wanted_everywhere(path: str) -> None:
    assert route_of(path).is_open("GET", path, everywhere=False)
    assert not route_of(path).is_open("GET", path, everywhere=True)
    assert not route_of(f"{path}/below").is_open("GET", f"{path}/below", everywhere=False)
    assert route_of(path).quiet


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/fine/ready", "/v2/none"])
def test_tools_for_inference_servers_ask_without_the_key_too(path: str) -> None:
    assert route_of(path).path == INFERENCE
    assert route_of(path).is_open("GET", path, everywhere=False)
    assert not route_of(path).is_open("GET", path, everywhere=True)
    assert route_of(path).quiet
    assert is_always_answered(path)
    assert not is_always_answered("/v2x")


def test_the_pages_files_can_be_read_by_everybody_and_written_by_nobody_without_the_key() -> None:
    for path in ("/ui", "/ui/", "/ui/app.js", "/docs", "/redoc", "/static/docs.js", "/openapi.json"):
        assert route_of(path).is_open("GET", path, everywhere=True)
        assert not route_of(path).is_open("POST", path, everywhere=False)


@pytest.mark.parametrize("path", [*sorted(PATHS - PAGES - {"/health", INFERENCE, *PROBES}), "/nothing", "/uix"])
def test_all_else_is_closed(path: str) -> None:
    assert not route_of(path).is_open("GET", path, everywhere=False)
