"""Processes that end with the one that has started them, even if that is killed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """Lets this process of a pool end when its parent is gone.

    A pool's processes hold both ends of its queues, so after a kill -9 of the parent they would wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
