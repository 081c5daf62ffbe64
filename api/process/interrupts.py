"""Ctrl+C at the supervisor: the first one ends the service as SIGTERM does, the next one ends it at once."""

from __future__ import annotations

import itertools
import logging
import signal
from typing import Any

import psutil
from circus.sighandler import SysHandler

log = logging.getLogger("xcube.interrupts")


def heed_a_second_one() -> None:
    """Makes circus, which is about to take over this process's signals, count interrupts; it knows no second one."""
    first, count = SysHandler.handle_int, itertools.count(1)

    def interrupted(handler: Any) -> None:
        if next(count) == 1:
            first(handler)
        else:
            _end(handler.controller.arbiter)

    SysHandler.handle_int = interrupted


def _end(arbiter: Any) -> None:
    """Kills all processes of the service and ends this one; jobs go on at the next start, as after a loss of power."""
    log.warning("ended now: what was running is lost; jobs go on at the next start")
    for process in psutil.Process().children(recursive=True):
        process.kill()
    arbiter.exit_stack.close()  # removes the folder of the sockets
    raise SystemExit(128 + signal.SIGINT)
