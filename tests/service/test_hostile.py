"""What strangers send: never a 5xx, always a JSON object as body, and the service goes on."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import less_work
from tests.support.figures import value, wait_for
from tests.support.paths import ROOT
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")

JSON = "application/json"
EXAMPLES = 5


def assert_object(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code < 500, answer.text[:500]
    body = answer.json()
    assert isinstance(body, dict)
    if answer.status_code >= 400:
        assert set(body) == {"error", "code", "retryable"}
        assert len(body["error"]) < 2000
        assert "\n" not in body["error"]
    return body


def body_with(**fields: str) -> bytes:
    """A request's body whose fields are given as raw JSON."""
    raw = {"prompt": '"x"', "ddim_steps": "1", "use_fine": "false", **fields}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in raw.items()) + "}").encode()


REFUSED = {
    "nothing": b"",
    "white space": b" \r\n\t",
    "NUL": b"\0",
    "a byte order mark": b"\xef\xbb\xbf" + body_with(),
    "UTF-16": body_with().decode().encode("utf-16"),
    "no UTF-8": body_with(prompt='"\xff"').decode().encode("latin-1"),
    "a raw control character": body_with(prompt='"a\nb"'),
    "a surrogate in UTF-8": b'{"prompt": "\xed\xa0\x80"}',
    "a lone high surrogate": body_with(prompt='"\\ud800"'),
    "a lone low surrogate": body_with(prompt='"x\\udc00x"'),
    "a prompt of 1 MB": body_with(prompt='"' + "x" * 1_000_000 + '"'),
    "a prompt of 1 MB of escapes": body_with(prompt='"' + "\\u0061" * 170_000 + '"'),
    "a body of 2 MB": body_with(prompt='"' + "x" * 2_000_000 + '"'),
    "a blank prompt": body_with(prompt='"\\u2003\\u00a0 "'),
    "no prompt": b"{}",
    "1e400": body_with(guidance_scale="1e400"),
    "-1e400": body_with(guidance_scale="-1e400"),
    "NaN": body_with(guidance_scale="NaN"),
    "Infinity": body_with(guidance_scale="Infinity"),
    "guidance true": body_with(guidance_scale="true"),
    "guidance as text": body_with(guidance_scale='"7.5"'),
    "guidance below its range": body_with(guidance_scale="0.9999999"),
    "steps true": body_with(ddim_steps="true"),
    "steps as text": body_with(ddim_steps='"5"'),
    "steps 0": body_with(ddim_steps="0"),
    "steps 5.5": body_with(ddim_steps="5.5"),
    "steps -0": body_with(ddim_steps="-0"),
    "steps of 400 digits": body_with(ddim_steps="9" * 400),
    "steps of 100,000 digits": body_with(ddim_steps="9" * 100_000),
    "seed beyond 64 bits": body_with(seed=str(2**64)),
    "seed below 64 bits": body_with(seed=str(-(2**63) - 1)),
    "seed beyond 64 bits as 1e20": body_with(seed="1e20"),
    "seed true": body_with(seed="true"),
    "seed 1.5": body_with(seed="1.5"),
    "seed in a list": body_with(seed="[1]"),
    "fine 1": body_with(use_fine="1"),
    "fine as text": body_with(use_fine='"true"'),
    "prompt null": body_with(prompt="null"),
    "prompt a number": body_with(prompt="5"),
    "prompt an object": body_with(prompt='{"$ne": 1}'),
    "prompt a list": body_with(prompt='["x"]'),
    "an unknown field": body_with(__class__='"x"'),
    "1,000 unknown fields": body_with(**{f"f{index}": "1" for index in range(1000)}),
    "a list": b"[" + body_with() + b"]",
    "a string": b'"x"',
    "null": b"null",
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"prompt":' * 50_000 + b"1" + b"}" * 50_000,
    "a deep field": body_with(prompt="[" * 500 + "]" * 500),
    "an open end": body_with()[:-1],
    "something after the end": body_with() + b"{}",
    "single quotes": b"{'prompt': 'x'}",
    "a comment": b'{"prompt": "x" /* y */}',
}
ACCEPTED = {
    "an escaped NUL": body_with(prompt='"a\\u0000b"'),
    "a surrogate pair": body_with(prompt='"\\ud83e\\ude91"'),
    "control characters and marks of direction": body_with(prompt='"\\u0007\\u202ex\\ufeff\\uffff"'),
    "1,000 characters of four bytes": body_with(prompt='"' + "\U0001fa91" * 1000 + '"'),
    "the token that ends a text": body_with(prompt='"<end_of_text> <start_of_text>"'),
    "SQL, shell and a template": body_with(prompt='"\'; DROP TABLE jobs;-- $(reboot) {{7*7}} %s %n"'),
    "a key twice": body_with()[:-1] + b',"prompt":"y"}',
    "null for every default": body_with(guidance_scale="null", seed="null", use_fine="null"),
    "steps 2.0": body_with(ddim_steps="2.0"),
    "seed 1e2": body_with(seed="1e2"),
    "guidance 1": body_with(guidance_scale="1"),
    "guidance with many digits": body_with(guidance_scale="7." + "3" * 500),
    "the smallest and the largest seed": body_with(seed=str(2**64 - 1)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_body_that_is_wrong_is_refused_in_one_sentence(server: Server, name: str) -> None:
    answer = server.post("/generate", content=REFUSED[name], headers={"Content-Type": JSON})
    assert answer.status_code in (400, 413)
    assert_object(answer)


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_body_that_is_odd_but_right_gives_a_shape(server: Server, name: str) -> None:
    answer = server.post("/generate", content=ACCEPTED[name], headers={"Content-Type": JSON})
    assert answer.status_code in (200, 422)
    assert_object(answer)


@pytest.mark.parametrize("path", ["/generate", "/batch_generate", "/generate_stream", "/health"])
@pytest.mark.parametrize(
    "kind",
    [
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
        "application/vnd.bentoml+pickle", "application/json; charset=utf-16", "application/json, text/plain",
        "application/octet-stream", "application/msgpack", "application/json\tx", "é".encode().decode("latin-1"),
    ],
)  # fmt: skip
def test_a_type_that_is_not_json_is_415(server: Server, path: str, kind: str) -> None:
    answer = server.post(path, content=body_with(), headers={"Content-Type": kind.encode("latin-1")})
    assert answer.status_code == 415
    assert_object(answer)


def test_a_wrong_method_is_told_all_right_ones_wherever_they_are_answered(server: Server) -> None:
    paths = {path.replace("{id}", "x"): item for path, item in server.get("/openapi.json").json()["paths"].items()}
    for path, item in {**paths, "/ui/": {"get": {}}, "/static/docs.js": {"get": {}}}.items():
        answer = server.request("PATCH", path)
        assert answer.status_code == 405, path
        documented = {method.upper() for method in item if method != "parameters"}
        allowed = set(answer.headers["allow"].split(", "))
        assert allowed == documented | ({"HEAD"} if "GET" in documented else set()), path
        for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} - allowed:
            assert server.request(method, path).headers["allow"] == answer.headers["allow"], path


def test_a_pickle_is_never_opened(server: Server, tmp_path: Path) -> None:
    witness = tmp_path / "opened"
    pickle = f"cposix\nsystem\n(S'touch {witness}'\ntR.".encode()
    for kind in ("application/vnd.bentoml+pickle", JSON, "multipart/form-data; boundary=x"):
        assert_object(server.post("/generate", content=pickle, headers={"Content-Type": kind}))
    assert not witness.exists()


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    answer = server.request(method, "/generate", content=b"x")
    assert answer.status_code == 405
    assert_object(answer)


@pytest.mark.parametrize(
    "path",
    ["/%00", "/../../etc/passwd", "/static/../../service.py", "/static/%2e%2e/%2e%2e/service.py", "//generate/", "/%ff",
     "/generate/..;/x", "/" + "a" * 8000, "/static/%00"],
)  # fmt: skip
def test_odd_paths_are_not_found(server: Server, path: str) -> None:
    status, body = exchange(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert status in (400, 404, 405)
    assert isinstance(json.loads(body), dict)
    assert b"import" not in body


def test_odd_headers_do_no_harm(server: Server) -> None:
    headers = {
        "X-Request-ID": "../../x' OR 1=1 " + "y" * 4000,
        "traceparent": "00-" + "f" * 500,
        "tracestate": "x=" + "y" * 2000,
        "Accept": ",;q=zz, text/" + "h" * 1000,
        "Range": "bytes=0-1,5-,-3",
        "If-None-Match": "*" * 500,
        "Cookie": "; ".join(["a=b"] * 200),
        "X-Forwarded-For": "x\t y",
    }
    for path in ("/", "/health", "/metrics", "/docs"):
        answer = server.get(path, headers=headers)
        assert answer.status_code in (200, 206, 304, 400, 404, 406, 416)
    answer = server.post("/generate", content=body_with(), headers={**headers, "Content-Type": JSON})
    assert answer.status_code in (200, 406)


def exchange(server: Server, request: bytes, pieces: int = 0, pause: float = 0.0) -> tuple[int, bytes]:
    """Sends raw bytes, at last byte by byte if asked for; returns the status and the body, 0 if there was no answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request[: len(request) - pieces])
        for index in range(len(request) - pieces, len(request)):
            connection.sendall(request[index : index + 1])
            time.sleep(pause)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return (int(head.split()[1]), body) if head else (0, b"")


HEAD = f"POST /generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {JSON}\r\n".encode()


def test_a_body_that_comes_slowly_is_waited_for(server: Server) -> None:
    body = body_with()
    head = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
    status, _ = exchange(server, head + body, pieces=len(body), pause=0.02)
    assert status == 200


def test_a_body_that_never_comes_is_given_up_and_others_are_served_meanwhile(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=110) as connection:
        connection.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
        start = time.monotonic()
        assert server.generate(ddim_steps=1, use_fine=False).status_code == 200
        assert not select.select([connection], [], [], 0)[0], "the other request had to wait for this one's end"
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.startswith(b"HTTP/1.1 408")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["code"] == "body_timeout"
    assert time.monotonic() - start > 20


def chunked(body: bytes, *, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7))
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + end


def test_chunks_are_a_body_too(server: Server) -> None:
    assert exchange(server, chunked(body_with()))[0] == 200
    assert exchange(server, chunked(b"{"))[0] == 400
    status, body = exchange(server, chunked(b'{"prompt": "' + b"x" * 1_200_000))
    assert status == 413
    assert json.loads(body)["code"] == "body_too_large"


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /" + b"\xff" * 100 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"A" * 100_000,
    ],
    ids=["no size", "a huge size", "two lengths of a kind", "a negative length", "two lengths", "HTTP 9.9", "TLS",
         "bytes in the path", "no line"],
)  # fmt: skip
def test_what_is_no_http_gets_no_5xx(server: Server, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        try:
            received = connection.recv(65536)
        except ConnectionResetError:
            received = b""
    assert not received.startswith(b"HTTP/1.1 5")
    assert server.get("/health").status_code == 200


def test_an_answer_that_nobody_reads_holds_up_nobody_else(server: Server) -> None:
    body = body_with(use_fine="true", ddim_steps="2")
    connections = []
    for _ in range(4):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        connections.append(connection)
    time.sleep(1)
    assert server.generate(ddim_steps=1, use_fine=False).status_code == 200
    for connection in connections:
        connection.close()


@pytest.mark.timeout(600)
def test_generated_requests_get_no_5xx_and_only_answers_that_are_documented(server: Server, tmp_path: Path) -> None:
    """schemathesis makes requests, right and wrong ones, from the service's own OpenAPI document."""
    (tmp_path / "openapi.json").write_bytes(server.get("/openapi.json").content)
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", server.url, "--no-color"]
    command += ["--checks", "not_a_server_error,status_code_conformance,response_schema_conformance"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "1", "--phases", "coverage,fuzzing"]
    command += ["--request-timeout", "60"]
    hooks = {"SCHEMATHESIS_HOOKS": less_work.__name__, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **hooks}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    cases = re.search(r"(\d+) generated", found.stdout)
    assert cases is not None
    assert int(cases[1]) > 300
    wait_for(lambda: value(server, "xcube_jobs_waiting") == 0)  # the next module's jobs would wait for these
