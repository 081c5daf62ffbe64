"""Folders of a running service in the temporary folder, and those who clean up there.

Cleaners remove what nobody has touched for days, systemd's also leaves alone what is locked; so the folders are locked
and touched. What is gone all the same is noticed within a second.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

log = logging.getLogger("xcube.temporary")
PERIOD = 1.0
TOUCH_SECONDS = 3600.0
LONGEST_SOCKET_PATH = 103
"""Bytes that a Unix socket's path may have, on the strictest of the supported systems."""
_SOCKET_NAME = "/bentoml-uds-12345678/12345678901234567890.sock"


def unusable() -> str | None:
    """Why the temporary folder cannot be used, in one sentence that says what to do; None if it can."""
    try:
        folder = tempfile.gettempdir()
    except OSError:
        return "There is no temporary folder that can be written to: set TMPDIR to one."
    if len(os.fsencode(folder + _SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        return f"The path of the temporary folder {folder} is too long for a socket: set TMPDIR to a shorter one."
    return None


class Keeper:
    """A thread that keeps a folder: touches what is in it now and then, and calls `lost` when something is gone.

    Args:
        folder: what is kept.
        lost: is told what is missing; makes it again, or returns False to end the keeping.
        watched: gives what else has to be there; called at every look.
        period: seconds between two looks.
    """

    def __init__(
        self,
        folder: Path,
        lost: Callable[[Path], bool],
        watched: Callable[[], list[Path]] = list,
        period: float = PERIOD,
    ) -> None:
        self._folder, self._lost, self._watched, self._period = folder, lost, watched, period
        self._ended = threading.Event()
        self._failing = False
        threading.Thread(target=self._run, name=f"keeper of {folder.name}", daemon=True).start()

    def end(self) -> None:
        """Stops keeping the folder."""
        self._ended.set()

    def _run(self) -> None:
        touched = time.monotonic()
        while not self._ended.is_set():
            with _locked(self._folder):
                while (missing := self._missing()) is None and not self._ended.wait(self._period):
                    if time.monotonic() - touched >= TOUCH_SECONDS:
                        touched = time.monotonic()
                        _touch(self._folder)
            if missing is not None:
                self._replace(missing)

    def _missing(self) -> Path | None:
        return next((path for path in (self._folder, *self._watched()) if not path.exists()), None)

    def _replace(self, missing: Path) -> None:
        try:
            if not self._lost(missing):
                self.end()
            self._failing = False
        except OSError as error:
            if not self._failing:  # once, not every second
                log.error("%s is gone and cannot be created again: %s", missing, error)
            self._failing = True
            self._ended.wait(self._period)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A lock on a folder that says to systemd's cleaner that it is in use; nothing where it cannot be locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _touch(folder: Path) -> None:
    for path in (folder, *folder.glob("*")):
        with contextlib.suppress(OSError):  # another process may have removed it
            os.utime(path)
