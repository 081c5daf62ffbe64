"""What a link to a shape tells those who show what lies behind links."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.testclient import TestClient

from api.generation.recent import RecentResults
from api.http.behind import Behind
from api.http.shared_links import SharedLinks
from api.http.web_page import ui_routes
from api.schemas import GenerateRequest
from formats import Options, file_of
from models.shape import Shape
from tests.support.solids import shell, sphere

LINK = "/ui/?prompt=a+%22round%22+%3Cball%3E&seed=7&steps=20&guidance=5&fine=0"
ASKED = GenerateRequest(prompt='a "round" <ball>', seed=7, ddim_steps=20, guidance_scale=5.0, use_fine=False)


class Knowing:
    """What of a generator a link needs: it knows one result."""

    def __init__(self, **keys: Any) -> None:
        self.settings = SimpleNamespace(**{"api_key": None, "api_keys_file": None, **keys})
        self.recent = RecentResults(2**20)
        self.recent.put("bits", ASKED, Shape(shell(sphere(0.4), 16), None, 7))

    async def known(self, request: GenerateRequest, _: Any) -> Shape | None:
        return self.recent.get("bits", request)

    async def write(self, format_: Any, shape: Shape, _: Any) -> Any:
        return file_of(format_, shape, "test", Options())


def client(**keys: Any) -> TestClient:
    behind = Behind()
    behind.generator = Knowing(**keys)  # type: ignore[assignment]
    return TestClient(Starlette(routes=ui_routes(SharedLinks(behind))), base_url="http://shapes.example")


def told(page: str) -> dict[str, str]:
    return dict(re.findall(r'<meta property="(og:[^"]+)" content="([^"]*)">', page))


def test_a_link_tells_its_prompt_and_the_picture_of_a_known_result() -> None:
    answer = client().get(LINK)
    tags = told(answer.text)
    assert tags["og:title"] == "a &quot;round&quot; &lt;ball&gt;"
    assert tags["og:image"].startswith("http://shapes.example/ui/picture.png?")
    picture = client().get(tags["og:image"].replace("&amp;", "&"))
    assert picture.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).size == (512, 512)
    assert "<ball>" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.text.count("</title>") == 1


@pytest.mark.parametrize(
    "more",
    ["&steps=21", "&seed=8", "&seed=x", "&steps=", "&guidance=nan", "&scheduler=dpm%2B%2B", "&guidance_from=2",
     "&file=1&name=a.vox&format=vox", "&of=prompt%3Da"],
)  # fmt: skip
def test_without_a_known_result_there_is_an_example_instead(more: str) -> None:
    tags = told(client().get(LINK + more).text)
    assert tags["og:image"] == "http://shapes.example/ui/examples/castle.webp"
    assert client().get("/ui/examples/castle.webp").status_code == 200
    assert client().get(f"/ui/picture.png?{LINK.partition('?')[2]}{more}").status_code == 404


@pytest.mark.parametrize("keys", [{"api_key": SecretStr("k")}, {"api_keys_file": "keys"}])
def test_a_service_with_keys_shows_nobody_a_picture_without_one(keys: dict[str, Any]) -> None:
    tags = told(client(**keys).get(LINK).text)
    assert tags["og:image"].endswith("/ui/examples/castle.webp")
    assert client(**keys).get(LINK.replace("?", "picture.png?")).status_code == 404


def test_the_page_without_a_shape_stays_as_it_is() -> None:
    answer = client().get("/ui/")
    assert told(answer.text) == {}
    again = client().get("/ui/", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
