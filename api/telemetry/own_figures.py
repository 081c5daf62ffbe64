"""What a process tells of itself: whether it takes the place of one that died, its memory, its open files."""

from __future__ import annotations

import resource
import threading
import time

import psutil

from api.telemetry import metrics, metrics_files

PERIOD = 5.0
"""Seconds between two looks; Prometheus asks less often."""


def follow(kind: str) -> None:
    """Begins to tell of this process, which is one of metrics.PROCESSES, until it ends."""
    metrics.process_started(kind, again=_takes_a_place(kind))
    tell(kind)
    threading.Thread(target=_watch, args=(kind,), name="own figures", daemon=True).start()


def tell(kind: str) -> None:
    """Tells the figures as they are now."""
    process = psutil.Process()
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = float("inf") if limit == resource.RLIM_INFINITY else limit
    metrics.process(kind, process.memory_info().rss, process.num_fds(), most)


def _takes_a_place(kind: str) -> bool:
    """Whether a process of this kind with this number has run in the same service before."""
    folder = metrics_files.folder()
    if folder is None:
        return False
    try:
        (folder / f"{kind}-{metrics.worker()}.begun").touch(exist_ok=False)
    except FileExistsError:
        return True
    return False


def _watch(kind: str) -> None:
    while True:
        time.sleep(PERIOD)
        tell(kind)
