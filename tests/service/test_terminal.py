"""scripts/serve in a terminal: what it says to people, and what Ctrl+C does."""

from __future__ import annotations

import json
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.figures import running, steps, wait_for
from tests.support.leaving import ONE_STEP_SLICES, sent
from tests.support.paths import ROOT
from tests.support.service import AT_ONCE, Server, own_environment, started
from tests.support.terminal import CTRL_C, Terminal

MARK = "/mark"
STOPPING = "stopping: 1 running, Ctrl+C again ends it now\n"


@contextmanager
def in_a_terminal(folder: Path, models: Path, store: Path, **settings: str) -> Iterator[tuple[Server, Terminal]]:
    environment = own_environment(store) | {
        "XCUBE_CHECKPOINT_DIR": str(models), "XCUBE_THREADS": "1", "XCUBE_DEVICE": "cpu",
        "XCUBE_DEADLINE_SECONDS": "3600", "XCUBE_JOBS_DIR": str(folder / "jobs"), **ONE_STEP_SLICES, **settings,
    }  # fmt: skip
    command = [ROOT / "scripts" / "serve"]
    with Terminal() as terminal, started(command, environment, folder / "log", **terminal.options) as server:
        yield server, terminal


def interrupt(server: Server, terminal: Terminal) -> int:
    """Presses Ctrl+C and waits for the end; the exit status."""
    terminal.press(CTRL_C)
    return server.process.wait(AT_ONCE)


def requests_shown(server: Server, terminal: Terminal) -> list[str]:
    """The lines of requests so far, without the time in front and the seconds at the end."""
    server.get(MARK)
    line = re.compile(r"^\d\d:\d\d:\d\d ((?:GET|POST) .*), \d+\.\d\d s$", re.MULTILINE)
    wait_for(lambda: MARK in terminal.text.split("\n")[-2])
    return [shown for shown in line.findall(terminal.text) if MARK not in shown]


def test_people_read_what_is_loaded_where_it_is_ready_and_a_line_a_request_but_no_json(
    tmp_path: Path, tiny_models: Path, model_store: Path
) -> None:
    with in_a_terminal(tmp_path, tiny_models, model_store) as (server, terminal):
        wait_for(lambda: f"Ready: {server.url}/ after " in terminal.text)
        words = ("Starting the service", "loading the text model", "loading the coarse model", "warming up", "Ready: ")
        found = [terminal.text.find(word) for word in words]
        assert found == sorted(found)
        assert -1 not in found

        for path in ("/ui/", "/ui/app.js", "/ui/nothing.js", "/health", "/docs"):
            server.get(path)
        server.generate(ddim_steps=1, use_fine=False)
        server.generate(ddim_steps=-1)
        assert requests_shown(server, terminal) == [
            "GET /ui/ 200",
            "GET /ui/nothing.js 404 not_found",
            "GET /docs 200",
            "POST /generate 200",
            "POST /generate 400 invalid_request",
        ]

        assert interrupt(server, terminal) == 0
    assert "{" not in terminal.text
    assert "BentoServer" not in terminal.text
    assert "Service" not in terminal.text


def test_the_second_ctrl_c_ends_all_processes_at_once_and_their_sockets_and_figures_are_removed(
    tmp_path: Path, tiny_models: Path, model_store: Path
) -> None:
    with tempfile.TemporaryDirectory() as temporary:  # tmp_path may be too long for a socket
        with in_a_terminal(tmp_path, tiny_models, model_store, TMPDIR=temporary) as (server, terminal):
            server.wait_until("ready")
            (sampler,) = server.samplers()
            sampler.suspend()  # so that it ends neither the request nor itself
            with sent(server):
                wait_for(lambda: running(server) == 1)
                processes = server.processes()
                terminal.press(CTRL_C)
                wait_for(lambda: STOPPING in terminal.text)
                assert server.process.poll() is None

                assert interrupt(server, terminal) == 128 + signal.SIGINT
            assert psutil.wait_procs(processes, timeout=AT_ONCE)[1] == []
        # Of BentoML's clients each has a folder, which only a process that is not killed removes.
        assert [path.name for path in Path(temporary).iterdir() if not path.name.startswith("bentoml-client-")] == []
    assert "ended now: what was running is lost; jobs go on at the next start\n" in terminal.text
    assert "Traceback" not in terminal.text


def test_a_request_that_runs_at_ctrl_c_ends_before_the_service(
    tmp_path: Path, tiny_models: Path, model_store: Path
) -> None:
    with in_a_terminal(tmp_path, tiny_models, model_store) as (server, terminal):
        server.wait_until("ready")
        request = {"prompt": "a chair", "ddim_steps": 500, "seed": 1, "use_fine": False}
        (sampler,) = server.samplers()
        with sent(server, body=request) as connection:
            wait_for(lambda: running(server) == 1 and steps(server) > 0)
            sampler.suspend()
            terminal.press(CTRL_C)
            wait_for(lambda: STOPPING in terminal.text)
            sampler.resume()
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert json.loads(body)["coarse_xyz"]
        assert server.process.wait(AT_ONCE) == 0
    assert "POST /generate 200" in terminal.text.split(STOPPING)[1]


def test_ctrl_c_before_anything_is_loaded_ends_it_without_a_traceback(
    tmp_path: Path, tiny_models: Path, model_store: Path
) -> None:
    with in_a_terminal(tmp_path, tiny_models, model_store) as (server, terminal):
        wait_for(lambda: "Ctrl+C stops it.\n" in terminal.text)
        assert interrupt(server, terminal) in (0, -signal.SIGINT)
    assert terminal.text.endswith("Ctrl+C stops it.\n^C")
