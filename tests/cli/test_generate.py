"""The client of scripts/generate against a small server that answers as told (the real one: test_readme.py)."""

from __future__ import annotations

import http.server
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli import generate

READY = {"status": "ready"}
POINTS = {
    "coarse_xyz": [[0.25, 0.25, 0.25], [0.75, 0.25, 0.25]],
    "coarse_normal": [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "fine_xyz": [[0.125, 0.125, 0.125], [0.375, 0.125, 0.125], [0.625, 0.125, 0.125]],
    "fine_normal": [[1.0, 0.0, 0.0]] * 3,
}
FIELDS = {"prompt": {"type": "string"}, "ddim_steps": {}, "guidance_scale": {}, "seed": {}, "use_fine": {}}
SCHEMA = {
    "routes": [
        {
            "name": "generate",
            "route": "/generate",
            "input": {"properties": FIELDS, "required": ["prompt"]},
            "output": {"type": "object"},
        }
    ]
}


@dataclass
class Server:
    """What it answers, and what it was asked."""

    health: list[Any] = field(default_factory=lambda: [READY])
    status: int = 200
    answer: Any = field(default_factory=lambda: dict(POINTS))
    headers: dict[str, str] = field(default_factory=lambda: {"X-Seed": "42"})
    delay: Callable[[], object] = lambda: None
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            if self.path == "/health":
                self.reply(200, state.health.pop(0) if len(state.health) > 1 else state.health[0])
            else:
                self.reply(200, SCHEMA)

        def do_POST(self) -> None:
            state.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            state.delay()
            self.reply(state.status, state.answer, state.headers)

        def log_message(self, format: str, *args: object) -> None:
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{listener.server_port}"
    yield state
    listener.shutdown()
    listener.server_close()


def run(server: Server, *arguments: object) -> int | str | None:
    """The exit status of `scripts/generate "a chair" …` (a string is a message and status 1)."""
    with pytest.raises(SystemExit) as stop:
        generate.main(["a chair", "--url", server.url, *map(str, arguments)])
    return stop.value.code


def test_ply_holds_the_finest_stage(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chair.ply"
    assert run(server, "-o", path) == 0
    header, body = path.read_bytes().split(b"end_header\n", 1)
    assert b"element vertex 3" in header
    np.testing.assert_array_equal(np.frombuffer(body, "<f4").reshape(3, 6)[:, :3], POINTS["fine_xyz"])
    assert re.fullmatch(rf"{path}: 3 fine points, 2 coarse points, seed 42, \d+\.\d s\n", capsys.readouterr().out)
    assert [file.name for file in tmp_path.iterdir()] == ["chair.ply"]


def test_ply_holds_the_coarse_stage_where_there_is_no_fine_one(server: Server, tmp_path: Path) -> None:
    server.answer |= {"fine_xyz": None, "fine_normal": None}
    assert run(server, "-o", tmp_path / "chair.ply", "--no-fine") == 0
    assert b"element vertex 2" in (tmp_path / "chair.ply").read_bytes()


def test_npz_and_json_hold_every_stage_the_prompt_and_the_seed(server: Server, tmp_path: Path) -> None:
    assert run(server, "-o", tmp_path / "chair.npz") == 0
    assert run(server, "-o", tmp_path / "chair.json") == 0
    from_json = json.loads((tmp_path / "chair.json").read_text())
    with np.load(tmp_path / "chair.npz") as from_npz:
        for name, values in POINTS.items():
            np.testing.assert_array_equal(from_npz[name], values)
            assert from_json[name] == values
        assert (from_npz["prompt"], from_npz["seed"]) == ("a chair", 42)
    assert (from_json["prompt"], from_json["seed"]) == ("a chair", 42)


def test_the_preview_is_a_picture_of_something(server: Server, tmp_path: Path) -> None:
    assert run(server, "-o", tmp_path / "chair.ply", "--preview", tmp_path / "chair.png") == 0
    with Image.open(tmp_path / "chair.png") as picture:
        assert picture.size == (512, 512)
        assert len(picture.getcolors(512 * 512) or []) > 2


def test_what_the_user_leaves_out_is_the_service_s_to_choose(server: Server, tmp_path: Path) -> None:
    assert run(server, "-o", tmp_path / "chair.ply") == 0
    options = ["--steps", 20, "--guidance-scale", 3.5, "--seed", -7, "--no-fine"]
    assert run(server, "-o", tmp_path / "chair.ply", *options) == 0
    assert server.requests == [
        {"prompt": "a chair"},
        {"prompt": "a chair", "ddim_steps": 20, "guidance_scale": 3.5, "seed": -7, "use_fine": False},
    ]


def test_it_waits_while_the_models_load(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(generate.time, "sleep", pauses.append)
    server.health = [{"status": "loading"}, {"status": "loading"}, READY]
    assert run(server, "-o", tmp_path / "chair.ply") == 0
    assert pauses == [1.0, 1.0], "a client that asks without a pause would keep the server busy"


def test_it_stops_waiting_at_the_timeout(server: Server, tmp_path: Path) -> None:
    server.health = [{"status": "loading"}]
    assert "was still loading after 0.1 s" in str(run(server, "-o", tmp_path / "chair.ply", "--timeout", 0.1))


def test_a_warning_of_the_service_is_shown(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.headers["X-XCube-Warning"] = "the fine model is missing"
    assert run(server, "-o", tmp_path / "chair.ply") == 0
    assert "Note: the fine model is missing" in capsys.readouterr().err


ERROR = {"error": "prompt should not be blank: correct the request.", "code": "invalid_request", "retryable": False}


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (400, ERROR, "prompt should not be blank: correct the request."),
        (503, ERROR, "prompt should not be blank: correct the request."),
        (502, b"<html>Bad gateway</html>", "The service answered 502: <html>Bad gateway</html>"),
        (500, b"", "The service answered 500: nothing"),
    ],
)
def test_an_error_of_the_service_is_one_sentence_and_leaves_no_file(
    server: Server, tmp_path: Path, status: int, answer: Any, message: str
) -> None:
    server.status, server.answer = status, answer
    assert run(server, "-o", tmp_path / "chair.ply") == message
    assert list(tmp_path.iterdir()) == []


def test_failed_models_are_explained(server: Server, tmp_path: Path) -> None:
    server.health = [{"status": "error", "error": "No checkpoint was found: put one into checkpoints/."}]
    assert run(server, "-o", tmp_path / "a.ply") == (
        "The service has no models: No checkpoint was found: put one into checkpoints/."
    )


def test_no_service_says_how_to_start_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    message = str(run(Server(url=f"http://127.0.0.1:{port}"), "-o", tmp_path / "a.ply"))
    assert message == f"No service answers at http://127.0.0.1:{port}: start scripts/serve or give another --url."


@pytest.mark.parametrize("health", [["ready"], {"ok": True}, None])
def test_another_server_is_not_taken_for_the_service(server: Server, tmp_path: Path, health: Any) -> None:
    server.health = [health]
    assert "is not this service" in str(run(server, "-o", tmp_path / "a.ply"))


def test_a_slow_answer_ends_at_the_timeout(server: Server, tmp_path: Path) -> None:
    done = threading.Event()
    server.delay = lambda: done.wait(10)
    try:
        assert "No answer in 0.3 s" in str(run(server, "-o", tmp_path / "a.ply", "--timeout", 0.3))
    finally:
        done.set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "chair.obj"], "has to end in one of .ply, .npz, .json"),
        (["-o", "chair.ply", "--preview", "chair.jpg"], "has to end in .png"),
        (["-o", "no/such/folder/chair.ply"], "there is no folder no/such/folder"),
        ([], "the following arguments are required: -o/--output"),
    ],
)
def test_a_wrong_option_stops_before_anything_is_generated(
    server: Server, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, *arguments) == 2
    assert message in capsys.readouterr().err
    assert server.requests == []
