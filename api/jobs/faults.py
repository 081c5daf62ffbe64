"""What the log tells of a store that cannot be used: each fault once, not with every call, and its end."""

from __future__ import annotations

import logging
import time

log = logging.getLogger("xcube.jobs")
_SILENCE = 60.0
"""Seconds for which a fault that lasts is not told again."""
_WELL = 10.0
"""Seconds without a fault after which the store counts as mended."""


class Faults:
    """The faults of one store."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._last = 0.0

    def tell(self, error: OSError) -> None:
        """Logs a fault, but not again and again."""
        text, now = f"{type(error).__name__}: {error}", time.monotonic()
        self._last = now
        self._told = {other: when for other, when in self._told.items() if now - when <= _SILENCE}
        if text not in self._told:
            log.warning("jobs cannot be read or stored: %s", text)
            self._told[text] = now

    def none(self) -> None:
        """Logs that all is well again, once it has been for a while."""
        if self._told and time.monotonic() - self._last > _WELL:
            log.warning("jobs can be read and stored again")
            self._told = {}
