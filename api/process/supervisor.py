"""The process that `bentoml serve` starts first, and what the others do when it dies.

It starts the processes that speak HTTP and the Samplers, starts those again that die, and passes signals on. If it is
killed itself (kill -9, out of memory), nobody would do that any more, and the others would hold the port and their
models: so they end with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping

VARIABLE = "_XCUBE_SUPERVISOR"
"""Holds the supervisor's process id in the environment of its children."""
_PR_SET_PDEATHSIG = 1
_PERIOD = 0.5


def announce() -> None:
    """Says to the processes that this one will start that it is their supervisor."""
    os.environ[VARIABLE] = str(os.getpid())


def process_id(environment: Mapping[str, str] = os.environ) -> int | None:
    """The supervisor's process id as a process, by default this one, was told it; None where there is no supervisor."""
    text = environment.get(VARIABLE, "")
    return int(text) if text.isdigit() else None


def end_with_it() -> None:
    """Makes this process end at once when its supervisor does, however that ends.

    On Linux the kernel sees to it, on other systems a thread that looks twice a second. Nothing is saved: a job goes
    on from its last slice at the next start, as after any loss of power.
    """
    supervisor = process_id()
    if supervisor is None:
        return
    if not (sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0):
        threading.Thread(target=_watch, args=(supervisor,), name="supervisor", daemon=True).start()
    if os.getppid() != supervisor:  # it was gone before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(_PERIOD)
    os.kill(os.getpid(), signal.SIGKILL)
