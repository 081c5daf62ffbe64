"""What every process of the service does when it starts, and when the service cannot go on."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import bentoml

from api import environment
from api.process import connections, descriptors, interrupts, shared_state, supervisor, temporary
from api.process.places import Places
from api.settings import PATHS, Settings, load_settings
from api.telemetry import logs, metrics, metrics_page
from api.telemetry.bentoml_internals import path_of, start_folder

log = logging.getLogger("xcube.lifecycle")
NOTICE_SECONDS = 3.0
"""Time for a process to notice that the service is ending."""
LAST_SECONDS = 10.0
"""Time for what runs to end, once the Samplers cannot be reached."""


def start() -> Settings:
    """What each process of the service does first: its settings, its place among the others, its connections, its log.

    Raises:
        SystemExit: with one sentence, where a setting is wrong, or where the supervisor cannot write temporary files.
    """
    # Relative paths count from the folder of the start, but `bentoml serve` imports the service in the project's
    # folder, where all processes but the supervisor run.
    environment.fix_paths(os.environ, PATHS, start_folder())
    settings = load_settings()
    begin(settings)
    return settings


def begin(settings: Settings) -> None:
    """The part of `start` that needs the settings."""
    environment.pass_by_proxies(os.environ)
    if bentoml.server_context.worker_index is None:
        _begin_supervisor()
    else:
        supervisor.end_with_it()
    most = descriptors.room_for(settings.max_connections)
    connections.use(
        settings.keep_alive_seconds,
        Places(most, opened=metrics.connections, refused=metrics.connection_refused),
    )
    logs.configure()
    if bentoml.server_context.worker_index is None:
        for doubt in environment.doubts(os.environ, Settings.model_fields):
            log.warning("%s", doubt)


def _begin_supervisor() -> None:
    if (fault := temporary.unusable()) is not None:
        raise SystemExit(f"xcube: {fault}")
    supervisor.announce()
    interrupts.heed_a_second_one()
    shared_state.begin()
    metrics_page.use_own_folder()


def keep_sockets(ending: Callable[[], bool]) -> None:
    """Keeps the sockets behind which the Samplers of this service listen; the service ends if one is removed.

    No process can listen there again but by a new start, which the container's restart policy or a unit of systemd is
    for. Until then requests would wait in vain.

    Args:
        ending: whether the service ends already: its supervisor removes the sockets as soon as it is told to end, while
            requests that run go on over their connections.
    """
    places = json.loads(os.environ.get("BENTOML_RUNNER_MAP", "{}")).values()
    sockets = [path_of(place) for place in places if place.startswith("file://")]

    def lost(missing: Path) -> bool:
        time.sleep(NOTICE_SECONDS)
        if not ending():
            _end_the_service(missing)
        return False

    if sockets:
        temporary.Keeper(sockets[0].parent, lost, lambda: sockets)


def _end_the_service(missing: Path) -> None:
    log.error("somebody removed the socket %s: the service stops and has to be started again", missing)
    if bentoml.server_context.worker_index == 1 and (pid := supervisor.process_id()) is not None:
        os.kill(pid, signal.SIGTERM)
    threading.Timer(LAST_SECONDS, os.kill, (os.getpid(), signal.SIGKILL)).start()
