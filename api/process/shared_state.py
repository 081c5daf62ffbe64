"""A small state that the HTTP processes of one service change in turns: a file in the temporary folder."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from api.process import supervisor

log = logging.getLogger("xcube.shared")
_NAME = "xcube-shared-"


class SharedState:
    """A dictionary of plain values, by default empty; of this process alone where there is no supervisor.

    It lasts as long as the service. Where the file cannot be used, each process goes on with what it knows.

    Args:
        name: What the state is about.
        service: Process id of the supervisor, None without one.
    """

    def __init__(self, name: str, service: int | None = None) -> None:
        self._path = None if service is None else Path(tempfile.gettempdir()) / f"{_NAME}{os.getuid()}-{service}-{name}"
        self._file: int | None = None
        self._values: dict[str, Any] = {}
        self._failing = False

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The state, which no other process changes as long as the block runs, and which is kept at its end."""
        try:
            self._lock()
        except (OSError, ValueError) as error:
            if not self._failing:
                log.warning("the HTTP processes cannot share a file, so each counts by itself: %s", error)
            self._failing = True
        try:
            yield self._values
            self._keep()
        finally:
            if self._file is not None:
                with contextlib.suppress(OSError):
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def _lock(self) -> None:
        if self._path is None:
            return
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        content = os.pread(self._file, os.fstat(self._file).st_size, 0)
        found = json.loads(content or b"{}")
        self._values = found if isinstance(found, dict) else {}

    def _keep(self) -> None:
        if self._file is None:
            return
        content = json.dumps(self._values).encode()
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, os.pwrite(self._file, content, 0))


def of_this_service(name: str) -> SharedState:
    """The state of the service that this process belongs to."""
    return SharedState(name, supervisor.process_id())


def begin() -> None:
    """What the supervisor does before its processes start: removes what others have left, and its own at its end."""
    _forget(lambda service: service == os.getpid() or not psutil.pid_exists(service))
    atexit.register(_forget, lambda service: service == os.getpid())


def _forget(gone: Callable[[int], bool]) -> None:
    start = f"{_NAME}{os.getuid()}-"
    for path in Path(tempfile.gettempdir()).glob(f"{start}*"):
        service = path.name.removeprefix(start).partition("-")[0]
        if service.isdigit() and gone(int(service)):
            with contextlib.suppress(OSError):
                path.unlink()
