"""The receiver of the docs gets the webhook of a job from the real service, also when that is killed meanwhile."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.figures import value, wait_for
from tests.support.paths import DOCS
from tests.support.receiver import SECRET
from tests.support.service import StartServer, command_of, free_port


def test_the_receiver_of_the_docs_is_told_although_it_came_late_and_the_process_was_killed(
    start_server: StartServer, tiny_models: Any, tmp_path: Path
) -> None:
    server = start_server(tiny_models, XCUBE_WEBHOOK_SECRET=SECRET, XCUBE_WEBHOOK_HOSTS="127.0.0.1")
    server.wait_until("ready")
    port = free_port()
    request = {"prompt": "a chair", "ddim_steps": 1, "use_fine": False, "webhook": f"http://127.0.0.1:{port}/hooks"}
    job = server.post("/jobs", json=request).json()["id"]
    wait_for(lambda: value(server, "xcube_webhook_deliveries_total", outcome="failed") >= 1)
    (process,) = [
        each for each in server.processes() if "XCube" in command_of(each) and "Sampler" not in command_of(each)
    ]
    process.kill()
    programs = re.findall(r"```py\n(.*?)```", (DOCS / "http.md").read_text(), re.DOTALL)
    (program,) = [program for program in programs if "standardwebhooks" in program]
    (tmp_path / "receiver.py").write_text(program.replace("9000", str(port)))
    with subprocess.Popen(
        [sys.executable, tmp_path / "receiver.py"], env={"XCUBE_WEBHOOK_SECRET": SECRET}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as receiver:  # fmt: skip
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == f"job.completed {job}\n"
        server.wait_until("ready")
        wait_for(lambda: value(server, "xcube_webhook_deliveries_total", outcome="delivered") == 1)
        receiver.kill()
    assert str(port) not in server.log.read_text(), "addresses of webhooks may hold secrets"
