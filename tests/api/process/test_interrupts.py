"""Ctrl+C at the supervisor, counted."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.support.paths import ROOT

SUPERVISOR = """
import contextlib, subprocess, sys, time
from types import SimpleNamespace
from circus.sighandler import SysHandler
from api.process import interrupts

interrupts.CLEANING_SECONDS = 0.5
first = []
SysHandler.handle_int = first.append
interrupts.heed_a_second_one()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
arbiter = SimpleNamespace(exit_stack=contextlib.ExitStack())
arbiter.exit_stack.callback(print, "cleaned up", flush=True)
handler = SimpleNamespace(controller=SimpleNamespace(arbiter=arbiter))
for _ in range(3):
    with contextlib.suppress(SystemExit):  # as a callback of a library may
        SysHandler.handle_int(handler)
print(len(first), child.wait(), flush=True)
time.sleep(600)
"""


def test_the_second_ctrl_c_ends_the_supervisor_even_where_its_exception_is_lost() -> None:
    command = [sys.executable, "-c", SUPERVISOR]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert ended.stdout.splitlines() == ["cleaned up", f"1 {-signal.SIGKILL}"], ended.stderr
    assert ended.returncode == 128 + signal.SIGINT
