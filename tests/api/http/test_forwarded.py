"""Behind a proxy everything that a client follows lies under the proxy's prefix, and strangers are not believed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from api.http.auth import Keys
from api.http.endpoints import Endpoints
from api.http.forwarded import Forwarded
from api.http.gate import Gate
from api.messages import Status
from api.networks import networks_of
from api.schemas import LOADING

PROXY, OUTER, CLIENT, STRANGER = "10.0.0.7", "10.0.0.8", "203.0.113.9", "198.51.100.1"
PREFIXES = {"X-Forwarded-Prefix": "/xcube"}


async def show(request: Request) -> Response:
    assert request.client is not None
    return JSONResponse({"client": request.client.host, "scheme": request.url.scheme})


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"])


def client(peer: str, prefix: str = "", proxies: str = "10.0.0.0/28") -> TestClient:
    """A client of the pages with one path that tells what it sees, and one that redirects."""
    pages = Endpoints()
    pages.connect(SimpleNamespace(status=lambda: Status(health=LOADING, model_set="demo")), SimpleNamespace(), dict)  # type: ignore[arg-type, return-value]
    pages.app.router.routes += [Route("/show", show), Route("/to", redirect)]
    app: Any = Gate(pages.app, 1000, Keys(None))
    app = Forwarded(app, prefix, networks_of(proxies))
    return TestClient(app, client=(peer, 1234), follow_redirects=False)


# Prefixes


@pytest.mark.parametrize("keeps", [True, False], ids=["a proxy that keeps the prefix", "a proxy that removes it"])
@pytest.mark.parametrize("told", [True, False], ids=["in a header", "in the settings"])
def test_all_that_a_client_follows_lies_under_the_prefix(told: bool, keeps: bool) -> None:
    http = client(PROXY, "" if told else "/xcube")
    http.headers.update(PREFIXES if told else {})
    before = "/xcube" if keeps else ""
    index = http.get(f"{before}/").json()
    links = {name: index[name] for name in ("generate", "ui", "docs", "redoc", "openapi", "health")}
    assert all(link.startswith("/xcube/") for link in links.values())
    openapi = http.get(before + links["openapi"].removeprefix("/xcube")).json()
    assert openapi["servers"] == [{"url": "/xcube"}]
    for path in ("/", "/ui"):
        answer = http.get(before + path, headers={"Accept": "text/html"})
        assert answer.headers["location"] == "/xcube/ui/"
    assert http.get(f"{before}/ui/").status_code == 200
    assert http.get(f"{before}/docs/").headers["location"] == "/xcube/docs"
    assert http.get(f"{before}/to", params={"to": "/jobs/1"}).headers["location"] == "/xcube/jobs/1"
    wrong = http.post(f"{before}/generate", json={})
    assert "; /xcube/docs lists every field" in wrong.json()["error"]
    assert "see /xcube/ for" in http.get(f"{before}/none").json()["error"]


def test_the_prefix_itself_is_the_index() -> None:
    assert client(PROXY, "/xcube").get("/xcube", headers={"Accept": "text/html"}).headers["location"] == "/xcube/ui/"


def test_paths_without_the_prefix_work_too_for_probes() -> None:
    assert client(STRANGER, "/xcube").get("/show").status_code == 200


def test_a_path_that_only_begins_like_the_prefix_is_not_below_it() -> None:
    assert client(PROXY, "/xcube").get("/xcubes/show").status_code == 404


def test_a_prefix_like_a_path_of_the_service_hides_nothing() -> None:
    assert client(PROXY, "/jobs").delete("/jobs").status_code == 405


def test_without_a_known_prefix_links_are_as_they_were_and_the_document_s_paths_begin_where_it_lies() -> None:
    http = client(PROXY)
    assert http.get("/").json()["ui"] == "/ui/"
    assert http.get("/openapi.json").json()["servers"] == [{"url": "."}]
    assert http.get("/ui").headers["location"] == "ui/", "a browser finds it under any prefix"


def test_proxies_in_a_row_add_their_prefixes() -> None:
    assert client(PROXY).get("/", headers={"X-Forwarded-Prefix": "/a/, /b"}).json()["ui"] == "/a/b/ui/"


@pytest.mark.parametrize("prefix", ["//evil.example", "https://evil.example", "/a b", "/a?b", "/\\evil.example", "x"])
def test_a_prefix_that_is_no_path_is_not_believed(prefix: str) -> None:
    http = client(PROXY)
    assert http.get("/", headers={"X-Forwarded-Prefix": prefix}).json()["ui"] == "/ui/"


@pytest.mark.parametrize("target", ["http://evil.example/x", "//evil.example/x", "/\\evil.example/x"])
@pytest.mark.parametrize("prefix", ["", "/xcube"])
def test_no_redirect_leads_away(target: str, prefix: str) -> None:
    location = client(STRANGER, prefix).get("/to", params={"to": target}).headers["location"]
    assert location.startswith(f"{prefix}/")
    assert not location.startswith(("//", "/\\"))


def test_the_header_host_makes_no_redirect() -> None:
    for path in ("/docs/", "/ui/examples"):
        location = client(STRANGER).get(path, headers={"Host": "evil.example"}).headers.get("location", "")
        assert "evil" not in location


# Whom to believe


def test_a_stranger_is_believed_nothing() -> None:
    http = client(STRANGER)
    http.headers.update({**PREFIXES, "X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"})
    assert http.get("/show").json() == {"client": STRANGER, "scheme": "http"}
    assert http.get("/").json()["ui"] == "/ui/"


def test_without_a_setting_not_even_this_machine_is_believed() -> None:
    assert (
        client("127.0.0.1", proxies="").get("/show", headers={"X-Forwarded-For": CLIENT}).json()["client"]
        == "127.0.0.1"
    )


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}, {OUTER}", CLIENT),
        (f"{STRANGER}, {CLIENT}, {OUTER}", CLIENT),
        (f"{CLIENT}:5000", CLIENT),
        ("[2001:db8::1]:5000", "2001:db8::1"),
        ("", PROXY),
        ("unknown", PROXY),
        ("a\tlong lie", PROXY),
        (f"fe80::1%{'x' * 3000}", "fe80::1"),
    ],
    ids=[
        "one",
        "two proxies",
        "a client that lies",
        "with a port",
        "IPv6",
        "empty",
        "unknown",
        "nonsense",
        "a zone of any text",
    ],
)
def test_a_trusted_proxy_says_who_the_client_is(header: str, found: str) -> None:
    assert client(PROXY).get("/show", headers={"X-Forwarded-For": header}).json()["client"] == found


def test_an_ipv4_proxy_is_known_on_a_socket_for_ipv6_too() -> None:
    http = client(f"::ffff:{PROXY}")
    assert http.get("/show").json()["client"] == PROXY
    assert http.get("/show", headers={"X-Forwarded-For": CLIENT}).json()["client"] == CLIENT
