"""GET /metrics: the figures of all processes of one service in one page.

Processes share figures through files, one folder per service, as prometheus_client's multiprocess mode has it. BentoML
sets that mode up, but with one folder for all services of a user, which each empties when it starts.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.telemetry import metrics_files
from api.telemetry.bentoml_internals import use_metrics_folder

_LIVE_GAUGES = "gauge_live*_*.db"


def use_own_folder() -> None:
    """Makes `bentoml serve` in this process give the service's processes a folder of their own; removed at its end.

    What services left that were killed is removed too.
    """
    name = f"xcube-metrics-{os.getuid()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{name}*"):
        pid = left.name.removeprefix(name)
        if pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.gettempdir()) / f"{name}{os.getpid()}"
    use_metrics_folder(folder)
    atexit.register(partial(shutil.rmtree, folder, ignore_errors=True))


def page() -> bytes:
    """All figures in Prometheus' text format; outside of `bentoml serve` those of this process alone."""
    while True:
        folder = metrics_files.folder()
        if folder is None:
            return generate_latest(REGISTRY)
        _forget_the_dead(folder)
        registry = CollectorRegistry()
        with suppress(FileNotFoundError):  # a process gave its file another name just now
            MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]  # it has no types
            return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """Drops what killed processes left: gauges that are sums over processes would go on counting their requests."""
    for path in folder.glob(_LIVE_GAUGES):
        name, pid = metrics_files.owner(path)
        if not _lives(pid):
            mark_process_dead(name, path=str(folder))  # type: ignore[no-untyped-call]  # it has no types


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def show(_: Request) -> Response:
    """The page, put together in a thread: it reads files."""
    return Response(await asyncio.to_thread(page), media_type=CONTENT_TYPE_LATEST)


def app() -> Starlette:
    """An application with this one page, for a process that has no others."""
    return Starlette(routes=[Route("/metrics", show)])
