"""Ctrl+C at the supervisor: the first one ends the service as SIGTERM does, the next one ends it at once."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import sys
import threading
from typing import Any

import psutil
from circus.sighandler import SysHandler

log = logging.getLogger("xcube.interrupts")
CLEANING_SECONDS = 5.0
"""For this process to clean up and end; then it is gone all the same."""
_INTERRUPTED = 128 + signal.SIGINT


def heed_a_second_one() -> None:
    """Makes circus, which is about to take over this process's signals, count interrupts; it knows no second one."""
    first, count = SysHandler.handle_int, itertools.count(1)

    def interrupted(handler: Any) -> None:
        match next(count):
            case 1:
                first(handler)
            case 2:
                _end(handler.controller)

    SysHandler.handle_int = interrupted


def _end(controller: Any) -> None:
    """Kills all processes of the service and ends this one; jobs go on at the next start, as after a loss of power.

    The loop ends this process: raised here, the exception would be lost wherever circus, in the midst of the first
    interrupt, catches all.
    """
    _end_anyway_after(CLEANING_SECONDS)
    log.warning("ended now: what was running is lost; jobs go on at the next start")
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    controller.arbiter.exit_stack.close()  # removes the folder of the sockets
    controller.loop.add_callback_from_signal(sys.exit, _INTERRUPTED)


def _end_anyway_after(seconds: float) -> None:
    """Ends this process even where the loop does not come to it, or a library waits at the exit."""
    timer = threading.Timer(seconds, os._exit, (_INTERRUPTED,))
    timer.daemon = True
    timer.start()
