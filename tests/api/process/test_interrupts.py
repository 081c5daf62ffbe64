"""Ctrl+C at the supervisor, counted."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

SUPERVISOR = """
import contextlib, subprocess, sys, time
from types import SimpleNamespace
from circus.sighandler import SysHandler
from tornado.ioloop import IOLoop
from api.process import interrupts

interrupts.CLEANING_SECONDS = {seconds}
first = []
SysHandler.handle_int = first.append
interrupts.heed_a_second_one()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
arbiter = SimpleNamespace(exit_stack=contextlib.ExitStack())
arbiter.exit_stack.callback(print, "cleaned up", flush=True)
loop = IOLoop.current()
handler = SimpleNamespace(controller=SimpleNamespace(arbiter=arbiter, loop=loop))

def dispatch():
    try:
        for _ in range(3):
            SysHandler.handle_int(handler)
        print(len(first), child.wait(), flush=True)
    except BaseException:  # as circus does, while it carries the first one out
        print("lost", flush=True)
    {then}

loop.add_callback(dispatch)
loop.start()
"""


@pytest.mark.parametrize(
    ("then", "seconds"), [("pass", 600), ("time.sleep(600)", 0.5)], ids=["in its midst", "the loop hangs"]
)
def test_the_second_ctrl_c_ends_the_supervisor_while_the_first_one_is_carried_out(then: str, seconds: float) -> None:
    command = [sys.executable, "-c", SUPERVISOR.format(then=then, seconds=seconds)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert ended.stdout.splitlines() == ["cleaned up", f"1 {-signal.SIGKILL}"], ended.stderr
    assert ended.returncode == 128 + signal.SIGINT
