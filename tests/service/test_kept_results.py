"""What a service has made outlasts it: the next one answers from the folder, at once."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.support.figures import wait_for
from tests.support.service import Server, StartServer

BODY = {"prompt": "a chair", "ddim_steps": 4, "seed": 77}
AT_THE_SERVER = 0.020


def seconds(answer: httpx.Response) -> float:
    """What the answer took the server, as it says itself."""
    return sum(float(number) for number in re.findall(r"dur=([\d.]+)", answer.headers["server-timing"])) / 1000


@pytest.mark.alone
def test_a_service_that_starts_again_answers_what_the_one_before_has_made(
    start_server: StartServer, tiny_models: Path, tmp_path: Path
) -> None:
    settings = {"XCUBE_RECENT_DIR": str(tmp_path / "recent")}

    def serve() -> Server:
        server = start_server(tiny_models, **settings)
        server.wait_until_ready()
        return server

    before = serve()
    first = before.post("/generate", json=BODY)
    assert "coarse;" in first.headers["server-timing"]
    wait_for(lambda: len(list((tmp_path / "recent").glob("*.shape"))) == 1)
    before.kill()
    after = serve()
    for query in ("", "?format=ply"):
        again = after.post(f"/generate{query}", json=BODY)
        assert "coarse;" not in again.headers["server-timing"]
        if not query:
            assert again.content == first.content
            assert again.headers["etag"] == first.headers["etag"]
    assert min(seconds(after.post("/generate", json=BODY)) for _ in range(5)) <= AT_THE_SERVER
    anew = after.post("/generate", json=BODY, headers={"Cache-Control": "no-cache"})
    assert "coarse;" in anew.headers["server-timing"]
    (file,) = (tmp_path / "recent").glob("*.shape")
    after.kill()
    file.write_bytes(file.read_bytes()[:-100])
    last = serve()
    made = last.post("/generate", json=BODY)
    assert "coarse;" in made.headers["server-timing"]
    assert made.content == first.content
    assert "is damaged and removed" in last.log.read_text()
