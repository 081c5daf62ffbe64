"""The log of the real service: JSON, one line a request, no prompts, whatever strangers send."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from tests.support.log_lines import lines
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")


def of_request(server: Server, request_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(server) if line.get("request_id") == request_id]


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


def test_prompts_are_logged_where_the_settings_ask_for_them(single: Server) -> None:
    single.post(
        "/generate",
        json={"prompt": "a chair\nwith a break", "ddim_steps": 1, "use_fine": False},
        headers={"X-Request-ID": "log-2"},
    )
    (line,) = of_request(single, "log-2")
    assert line["parameters"]["prompt"] == "a chair\nwith a break"


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


def test_nobody_makes_a_long_line_or_many_lines_with_headers_or_passes_for_another_client(server: Server) -> None:
    count = len(lines(server))
    long = "y" * 4000
    headers = {
        "X-Request-ID": long, "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9",
        "traceparent": "00-" + "f" * 4000, "tracestate": ",".join(f"{long[:200]}{index}=\x7f" for index in range(20)),
        "baggage": ",".join(f"a{index} b=;;{long[:150]}" for index in range(50)), "User-Agent": long, "Referer": long,
    }  # fmt: skip
    answer = httpx.request("M" * 3000, server.url + "/" + long, headers=headers, timeout=30)
    assert answer.status_code in (404, 405)
    headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert server.get("/none", headers=headers).status_code == 404
    new = lines(server)[count:]
    assert [line["status"] for line in new] == [answer.status_code, 404]
    for line in new:
        assert line["client"] == "127.0.0.1"
        assert len(json.dumps(line)) < 2048
    assert new[0]["method"] == "M" * 20


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
