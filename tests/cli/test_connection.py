"""The commands and the example clients where the service is down, slow, elsewhere, or something else."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cli import connection
from cli.generate import __main__ as generate
from cli.load import __main__ as load
from tests.support.answering import ERROR, Server
from tests.support.paths import ROOT
from tests.support.service import free_port

pytestmark = pytest.mark.usefixtures("folder")
PROGRAMS = sorted((ROOT / "clients" / "python").glob("*.py"))
PROXIES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
HTML = b"<html>\n<p>Not the service.</p>\n</html>"


def http(status: str, body: bytes, kind: str = "text/html") -> bytes:
    # Whoever would use the connection again might find out too late that it was closed.
    about = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return f"HTTP/1.1 {status}\r\n{about}".encode() + body


@contextlib.contextmanager
def saying(answer: bytes | None) -> Iterator[str]:
    """What answers each connection with some bytes and closes it; None: it says nothing and keeps it open."""
    kept = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = listening.accept()
                kept.append(connected)
                if answer is not None:
                    connected.recv(65_536)
                    connected.sendall(answer)
                    connected.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    for each in kept:
        each.close()


def message_of_generate(url: str) -> str:
    with pytest.raises(SystemExit) as stop:
        generate.main(["a chair", "--url", url, "-o", "chair.ply"])
    assert isinstance(stop.value.code, str), "status 1 and a sentence"
    return stop.value.code


def message_of_load(url: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert load.main(["--url", url, "--seconds", "1"]) == 2
    return capsys.readouterr().err.removeprefix("load: ").removesuffix("\n")


STRANGERS = {
    "a page": (http("200 OK", HTML), "200, text/html"),
    "not found": (http("404 Not Found", HTML), "404, text/html"),
    "another API": (http("200 OK", b'{"status": "UP"}', "application/json"), "200, application/json"),
    "a list": (http("200 OK", b"[]", "application/json"), "200, application/json"),
    "a redirect": (b"HTTP/1.1 301 Moved\r\nLocation: https://example.org\r\nContent-Length: 0\r\n\r\n", "301"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
    "broken compression": (
        http("200 OK", b"x").replace(b"Content-Type: ", b"Content-Encoding: gzip\r\nA: "),
        "200",
    ),
    "no end": (b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n" + bytes(100_000), "200, video/mp4"),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_not_the_service_is_named_in_one_sentence(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer, told = STRANGERS[kind]
    with saying(answer) as url:
        expected = f"What answers at {url} is not this service, or is another version of it ({told})"
        assert message_of_generate(url) == message_of_load(url, capsys) == f"{expected}: give the right --url."


def test_what_accepts_and_says_nothing_is_given_up_after_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEALTH_SECONDS", 0.2)
    with saying(None) as url:
        expected = f"What listens at {url} did not answer within 0.2 s: try again later or give another --url."
        assert message_of_generate(url) == message_of_load(url, capsys) == expected


def test_tls_where_there_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with saying(http("400 Bad Request", HTML)) as url:
        assert "has no usable TLS" in message_of_generate(url.replace("http:", "https:"))


def test_a_service_that_refuses_health_is_quoted(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    body = b'{"error": "The key is missing: send it.", "code": "unauthorized"}'
    with saying(http("401 Unauthorized", body, "application/json")) as url:
        assert message_of_generate(url) == message_of_load(url, capsys) == "The key is missing: send it."


@pytest.mark.parametrize("events", [[("completed", {"voxels": []})], [("completed", [])], [("failed", {})]])
def test_a_shape_of_another_version_is_no_traceback(server: Server, events: list[tuple[str, object]]) -> None:
    server.events = [events]
    assert "is another version of it" in message_of_generate(server.url)


def test_a_page_in_place_of_an_error_is_quoted_on_one_line(server: Server) -> None:
    server.statuses, server.answer = [502], HTML + b"x" * 5000
    message = message_of_generate(server.url)
    assert message.startswith("The service answered 502: <html> <p>Not the service.</p> </html>")
    assert len(message) < 300


# Addresses


@pytest.mark.parametrize("module", [generate, load])
@pytest.mark.parametrize(
    "url", ["localhost:8000", "127.0.0.1:8000", "ftp://localhost", "http://", "http://[::1", "http://localhost:99999"]
)
def test_a_wrong_address_is_named_with_the_right_form(
    module: object, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        generate.main(["a chair", "-o", "a.ply", "--url", url]) if module is generate else load.main(["--url", url])
    assert stop.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{url!r} " in line
    assert "write it like http://localhost:8000" in line


def test_a_last_slash_and_a_path_belong_to_an_address() -> None:
    assert connection.address(" http://localhost:8000/xcube/ ") == "http://localhost:8000/xcube"


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "long"])
def test_a_time_is_a_number_of_seconds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number of seconds above 0"):
        connection.seconds(text)


# Proxies


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000", True),
        ("http://LOCALHOST", True),
        ("http://a.localhost", True),
        ("http://127.0.0.2:1", True),
        ("http://[::1]:8000", True),
        ("http://0.0.0.0:8000", True),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
    ],
)
def test_which_addresses_are_this_machine_s(url: str, here: bool) -> None:
    assert connection.is_here(url) is here
    assert connection.client(url).trust_env is not here


@pytest.fixture(params=["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense://x"])
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies in the environment that nothing can be reached by."""
    for name in PROXIES:
        monkeypatch.setenv(name, request.param)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("proxy")
def test_calls_to_this_machine_pass_by_any_proxy(server: Server, folder: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        generate.main(["a chair", "--url", server.url, "-o", "chair.ply"])
    assert stop.value.code == 0
    server.statuses, server.answer, server.headers = [400], ERROR, {}
    assert load.main(["--url", server.url.replace("127.0.0.1", "localhost"), "--requests", "1", "--users", "1"]) == 1
    assert len(server.requests) == 2, "each came here"


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_that_cannot_be_used_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "nonsense://x")
    assert "correct HTTP_PROXY or ALL_PROXY" in message_of_generate("http://192.0.2.1")


# The example clients


def end_of(program: Path, url: str) -> tuple[int, str]:
    """The status of an example client and what it says is wrong."""
    variables = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    variables |= {"XCUBE_URL": url, "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, program], env=variables, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stderr


@pytest.mark.timeout(200)
def test_an_example_client_says_in_one_sentence_what_is_wrong_with_the_service() -> None:
    with saying(http("200 OK", HTML)) as page, saying(http("404 Not Found", HTML)) as missing, saying(None) as slow:
        down = f"http://127.0.0.1:{free_port()}"
        wrong = "{} is not the service: set XCUBE_URL to its address, such as http://localhost:8000."
        said = {
            down: "No service answers at {}: start it or set XCUBE_URL to its address.",
            slow: "The service at {} took too long: try again later or ask for fewer steps.",
            page: wrong, missing: wrong, "localhost:8000": wrong,
        }  # fmt: skip
        cases = [(program, url) for program in PROGRAMS for url in said]
        with ThreadPoolExecutor(3) as pool:
            ends = list(pool.map(end_of, *zip(*cases, strict=True)))
    assert len(cases) == 15
    for (program, url), (status, message) in zip(cases, ends, strict=True):
        assert (status, message) == (1, said[url].format(url) + "\n"), program.name


@pytest.mark.timeout(200)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_client_waits_no_longer_for_a_service_to_be_ready_than_it_is_told(
    program: Path, tmp_path: Path
) -> None:
    source = program.read_text()
    assert len(re.findall(r"READY_SECONDS = .*60\n", source)) == 1
    impatient = tmp_path / program.name
    impatient.write_text(re.sub(r"(READY_SECONDS = .*)60\n", r"\g<1>1\n", source))
    with saying(http("503 Service Unavailable", b'{"status": "loading"}')) as loading:
        said = f"The service at {loading} was not ready within 1 s: its log says what it waits for.\n"
        assert end_of(impatient, loading) == (1, said)


def test_curl_passes_by_any_proxy_and_keeps_the_user_s_exceptions() -> None:
    lines = (ROOT / "clients" / "curl.sh").read_text().splitlines()
    (line,) = [line for line in lines if "no_proxy=" in line]
    shown = subprocess.run(
        ["bash", "-c", f'{line}; echo "$no_proxy"'], env={"PATH": os.environ["PATH"], "NO_PROXY": "example.org"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout == "localhost,127.0.0.1,::1,example.org\n"


# Help


def test_every_way_to_import_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    from cli.import_models import main
    from xcube_serve import HELP

    with pytest.raises(SystemExit):
        main(["--help"])
    options = set(re.findall(r"^  (--[\w-]+)", capsys.readouterr().out, re.MULTILINE))
    assert options == {"--checkpoint-dir", "--clip", "--force", "--list", "--remove", "--export", "--file"}
    for text in (HELP, (ROOT / "scripts/import").read_text()):
        usage = [line for line in text.splitlines() if "import [" in line or "import --list" in line]
        assert set(re.findall(r"--[\w-]+", " ".join(usage))) == options
