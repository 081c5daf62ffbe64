"""What a start says in the log when the models are there, and what it says when they are gone again."""

from __future__ import annotations

import json
import logging
import os
import time
from urllib.parse import urlsplit

import bentoml
import psutil

from api.process import supervisor
from api.schemas import Health
from api.settings import load_settings

log = logging.getLogger("xcube.start")


class StartUp:
    """Told of every change of the health's status or error; of several HTTP processes the first one writes it."""

    def __init__(self) -> None:
        self._first = (bentoml.server_context.worker_index or 1) == 1
        self._was_ready = False
        self._status = "loading"

    def __call__(self, health: Health) -> None:
        """Writes a line for what is new."""
        before, self._status = self._status, health.status
        if not self._first:
            return
        if health.status == "ready":
            if before != "ready":
                when = "again" if self._was_ready else f"after {_seconds():.0f} s"
                address = _address()
                log.info(
                    "ready %s: open %s/ in a browser, or read %s/docs to write a client", when, address, address,
                    extra={"terminal": f"Ready: {address}/ {when}; for programs: {address}/docs"},
                )  # fmt: skip
                self._was_ready = True
                _warn_of_another_port(address)
            if health.error is not None:
                log.error("not everything is served: %s", health.error)
        elif health.status == "error":
            log.error("not ready: %s", health.error)
        else:
            log.warning("the Sampler process does not answer: waiting until it has restarted")


def _warn_of_another_port(address: str) -> None:
    """`bentoml serve` has an option of its own for the port, and reads it before our settings."""
    settings, port = load_settings(), urlsplit(address).port
    if "port" in settings.model_fields_set and port is not None and port != settings.port:
        log.warning(
            "XCUBE_PORT is %d but counts for scripts/serve and xcube-serve alone: `bentoml serve` and the image listen "
            "where --port or BENTOML_PORT says.",
            settings.port,
        )


def _seconds() -> float:
    """Time since the command that started the service, installation included."""
    return time.time() - psutil.Process(supervisor.process_id()).create_time()


def _address() -> str:
    """Where this service listens, as `bentoml serve` tells its processes."""
    places: dict[str, str] = json.loads(os.environ.get("BENTOML_RUNNER_MAP", "{}"))
    return places.get("XCube", "http://localhost:8000")
