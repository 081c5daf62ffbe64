"""The page's files as they are served, without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from api.http.web_page import FILES, page_or, ui_routes

FIRST = sorted(path for path in FILES.iterdir() if path.is_file())
MAKING = sorted((FILES / "making").iterdir())
LATER = sorted((FILES / "later").iterdir())
OWN = [*FIRST, *MAKING, *LATER]
"""What is not vendored."""


@pytest.fixture(scope="module")
def client() -> TestClient:
    async def index(_: Request) -> Response:
        return JSONResponse({"name": "xcube"})

    return TestClient(Starlette(routes=[Route("/", page_or(index)), *ui_routes()]), follow_redirects=False)


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "text/html"])
def test_a_browser_at_the_root_is_sent_to_the_page(client: TestClient, accept: str) -> None:
    answer = client.get("/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Location"]) == (307, "ui/")
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_other_clients_at_the_root_get_json_as_before(client: TestClient, accept: str) -> None:
    answer = client.get("/", headers={"Accept": accept})
    assert answer.json() == {"name": "xcube"}
    assert answer.headers["Vary"] == "Accept"


def test_the_page_is_found_with_and_without_a_slash(client: TestClient) -> None:
    assert client.get("/ui").headers["Location"] == "ui/"
    assert client.get("/ui/").headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "media_type", "cache"),
    [
        ("/ui/app.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/ui/style.css", "text/css; charset=utf-8", "no-cache"),
        ("/ui/icon.svg", "image/svg+xml", "no-cache"),
        ("/ui/examples/mug.webp", "image/webp", "no-cache"),
        ("/ui/vendor/three-0.187.0.min.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
    ],
)
def test_files_have_their_type_and_say_how_long_they_hold(
    client: TestClient, path: str, media_type: str, cache: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Cache-Control"] == cache
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_the_library_travels_compressed(client: TestClient) -> None:
    answer = client.get("/ui/vendor/three-0.187.0.min.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.content) > 500_000


@pytest.mark.parametrize("path", ["/ui/nothing.js", "/ui/../ui_app.py", "/ui/%2e%2e/ui_app.py", "/ui/vendor/"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_a_file_refers_to_nothing_outside_and_holds_no_inline_code(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    if file.suffix == ".html":
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:", text) == []
        references = re.findall(r'(?:src|href)="([^"#]+)"', text)
        assert all((FILES / reference).exists() for reference in references if not reference.startswith("../"))
    if file.suffix == ".js":
        imports = re.findall(r'from "([^"]+)"', text)
        assert all((file.parent / name).exists() for name in imports)
        assert re.findall(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text) == []


def test_the_library_comes_with_its_licence_and_its_version() -> None:
    assert "MIT" in (FILES / "vendor" / "three-LICENSE").read_text()
    (library,) = (FILES / "vendor").glob("three-*.min.js")
    version = library.name.removeprefix("three-").removesuffix(".min.js")
    assert f"three@{version}" in (FILES / "vendor" / "README.md").read_text()
    assert f'"{version.split(".")[1]}"' in library.read_text(encoding="utf-8"), "another revision than the name says"


def test_first_visit_is_light(client: TestClient) -> None:
    """What a browser fetches before it can show the page and take a prompt, the library and pictures aside."""
    assert weight(client, [path for path in FIRST if path.suffix in (".html", ".css", ".js", ".svg")]) < 55_000
    pictures = sum(path.stat().st_size for path in (FILES / "examples").glob("*.webp"))
    assert 0 < pictures < 80_000


def test_what_makes_shapes_of_answers_is_light(client: TestClient) -> None:
    assert files_of(FILES / "making" / "worker.js") == set(MAKING)
    assert weight(client, MAKING) < 5_000


def test_each_view_and_menu_fetches_little_more(client: TestClient) -> None:
    actions = {path: files_of(path) for path in LATER if any(f'/{path.name}"' in text for text in texts(FIRST))}
    assert set().union(*actions.values()) == set(LATER), "what no view and no menu fetches"
    for path, files in actions.items():
        assert weight(client, files) <= 5_000, path.name
    assert weight(client, LATER) <= 11_000


def test_the_first_visit_fetches_nothing_that_is_for_later() -> None:
    """A module that another one imports is fetched with it."""
    for text in texts(FIRST):
        assert re.findall(r'from "\./(?:making|later)/|="(?:making|later)/', text) == []


def texts(files: Iterable[Path]) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in files]


def weight(client: TestClient, files: Iterable[Path]) -> int:
    """Bytes of files as they travel."""
    paths = [f"/ui/{path.relative_to(FILES)}" for path in files]
    answers = [client.get(path, headers={"Accept-Encoding": "gzip"}) for path in paths]
    return sum(int(answer.headers["Content-Length"]) for answer in answers)


def files_of(module: Path) -> set[Path]:
    """A module with those of its own folder that are fetched with it."""
    (text,) = texts([module])
    return {module}.union(*(files_of(module.parent / name) for name in re.findall(r'from "\./([^"]+)"', text)))
