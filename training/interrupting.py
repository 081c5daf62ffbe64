"""Signals that wait until what must not be cut in two is done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def delayed(*numbers: signal.Signals) -> Iterator[None]:
    """Lets these signals of the process wait for the end of the block. Of a thread other than the main one, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda which, _: came.append(which)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(came):
            os.kill(os.getpid(), late)
