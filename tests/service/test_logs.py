"""The log of the real service: JSON, one line a request, no prompts, whatever strangers send."""

from __future__ import annotations

import json
import re
import socket
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.figures import wait_for
from tests.support.service import Server, StartServer

pytestmark = pytest.mark.shared("server")


def lines(server: Server) -> list[dict[str, Any]]:
    """All lines of the log, each of which has to be a JSON object with the common fields.

    A request of its own, whose line is left out, shows that the lines of those before it are there.
    """
    mark = f"mark-{uuid.uuid4()}"
    server.get("/nothing", headers={"X-Request-ID": mark})
    wait_for(lambda: mark in server.log.read_text())
    parsed = [json.loads(line) for line in server.log.read_text().splitlines()]
    for line in parsed:
        assert {"time", "level", "logger", "message"} <= set(line)
    return [line for line in parsed if not line.get("request_id", "").startswith("mark-")]


def of_request(server: Server, request_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(server) if line.get("request_id") == request_id]


def test_a_start_tells_what_it_does_and_at_the_end_the_address(
    start_server: StartServer, tiny_models: Path, tmp_path: Path
) -> None:
    """With a model store that is still empty, as at the first start."""
    server = start_server(tiny_models, BENTOML_HOME=str(tmp_path / "bentoml"))
    server.wait_until("ready")
    end = "ready after "
    wait_for(lambda: end in server.log.read_text())
    told = [line["message"] for line in lines(server)]
    told = told[: next(index for index, message in enumerate(told) if message.startswith(end)) + 1]
    steps = ("loading PyTorch", "imported ", "loading the text model", "loading the coarse model", "warming up", end)
    found = [next(index for index, message in enumerate(told) if message.startswith(step)) for step in steps]
    assert found == sorted(found)
    assert re.search(rf"ready after \d+ s: open {server.url}/ in a browser", told[-1])


def test_a_request_is_one_line_with_its_id_and_parameters_but_without_its_prompt(server: Server) -> None:
    request = {"prompt": "a very secret chair", "ddim_steps": 2, "seed": 5, "use_fine": False}
    server.post("/generate", json=request, headers={"X-Request-ID": "log-1"})
    (line,) = of_request(server, "log-1")
    assert line["logger"] == "xcube.access"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/generate", 200)
    assert line["parameters"]["ddim_steps"] == 2
    assert line["parameters"]["seed"] == 5
    assert line["seconds"] > 0
    assert line["client"] == "127.0.0.1"
    assert len(line["trace_id"]) == 32
    assert "secret" not in server.log.read_text()


def test_prompts_are_logged_where_the_settings_ask_for_them(start_server: StartServer, tiny_models: Path) -> None:
    server = start_server(tiny_models, XCUBE_LOG_PROMPTS="true")
    server.wait_until("ready")
    server.post(
        "/generate",
        json={"prompt": "a chair\nwith a break", "ddim_steps": 1, "use_fine": False},
        headers={"X-Request-ID": "log-2"},
    )
    (line,) = of_request(server, "log-2")
    assert line["parameters"]["prompt"] == "a chair\nwith a break"
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("json", b"{", "application/json"),
        ("field", b'{"prompt": "x", "secret\\nfield\\u2028": 1}', "application/json"),
        ("range", b'{"prompt": "a secret", "ddim_steps": 100000}', "application/json"),
        ("pickle", b"secret\n.", "application/vnd.bentoml+pickle"),
        ("form", b"--x\r\nsecret\r\n--x--", "multipart/form-data; boundary=x"),
    ],
)
def test_a_bad_request_is_one_line_that_names_the_fault_by_its_code(
    server: Server, name: str, content: bytes, kind: str
) -> None:
    count = len(lines(server))
    server.post("/generate", content=content, headers={"Content-Type": kind, "X-Request-ID": f"bad-{name}"})
    assert len(lines(server)) == count + 1
    (line,) = of_request(server, f"bad-{name}")
    assert line["code"] in ("invalid_request", "unsupported_media_type")
    assert "exception" not in line
    assert "secret" not in server.log.read_text()


def test_a_path_cannot_forge_a_line(server: Server) -> None:
    count = len(lines(server))
    server.get("/x%0A%7B%22level%22:%22ERROR%22%7D%0D%0A" + "y" * 3000)
    new = lines(server)[count:]
    assert len(new) == 1
    assert new[0]["level"] == "INFO"
    assert len(new[0]["path"]) <= 200


def test_what_is_no_http_at_all_is_at_most_one_line(server: Server) -> None:
    count = len(lines(server))
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01 no http\r\n\r\n")
        assert connection.recv(4096).startswith((b"HTTP/1.1 400", b""))
    assert len(lines(server)) - count <= 1


def test_probes_that_succeed_leave_no_line(server: Server) -> None:
    count = len(lines(server))
    for path in ("/health", "/livez", "/readyz", "/healthz", "/metrics"):
        assert server.get(path).status_code == 200
    assert len(lines(server)) == count
