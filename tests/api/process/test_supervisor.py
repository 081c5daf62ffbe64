"""The processes of a service end when the one that started them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from api.process import supervisor

ROOT = Path(__file__).resolve().parents[3]
CHILD = """
import os, sys, time
from api.process import supervisor
sys.platform = os.environ.get("SYSTEM", sys.platform)
supervisor.end_with_it()
print("kept", flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
from api.process import supervisor
supervisor.announce()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline().strip(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("system", ["linux", "darwin"], ids=["by the kernel", "by looking"])
def test_a_child_ends_when_its_supervisor_is_killed(system: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD],
        cwd=ROOT,
        env={**os.environ, "SYSTEM": system},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pid, said = parent.stdout.readline().split()
        assert said == "kept"
        child = psutil.Process(int(pid))
        assert child.is_running()
        parent.kill()
    assert psutil.wait_procs([child], timeout=10)[1] == []


def test_a_child_whose_supervisor_is_gone_already_ends_at_once() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    environment = {**os.environ, supervisor.VARIABLE: str(gone.pid)}
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert time.monotonic() - started < 50


def test_a_process_without_a_supervisor_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(supervisor.VARIABLE, raising=False)
    supervisor.end_with_it()
