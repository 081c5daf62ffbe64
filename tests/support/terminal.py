"""A terminal for a process of a test: what it shows, and keys that are pressed there."""

from __future__ import annotations

import fcntl
import os
import pty
import termios
import threading
from types import TracebackType
from typing import Any, Self

CTRL_C = b"\x03"


class Terminal:
    """A pseudo-terminal, as long as the block runs; it belongs to the process that is started with its `options`."""

    def __init__(self) -> None:
        self._keys, self._screen = pty.openpty()
        self._shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)

    @property
    def options(self) -> dict[str, Any]:
        """Those of subprocess.Popen with which a process gets this terminal, and the signals of its keys."""
        return {
            "stdin": self._screen, "stdout": self._screen, "stderr": self._screen, "start_new_session": True,
            "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        }  # fmt: skip

    @property
    def text(self) -> str:
        """What was shown so far; after the block, all of it."""
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def press(self, keys: bytes) -> None:
        """Presses keys."""
        os.write(self._keys, keys)

    def _read(self) -> None:
        try:
            while shown := os.read(self._keys, 65536):
                self._shown += shown
        except OSError:  # nobody has the terminal any more
            pass

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._screen)
        self._reader.join()
        os.close(self._keys)
