"""What is told of a store that cannot be used: clients with every call, the log each fault once, and its end."""

from __future__ import annotations

import errno
import logging
import time

from safetensors import SafetensorError

from api.errors import JobsUnavailable, ResultGone, StorageFull
from api.jobs.envelope import DamagedError
from api.jobs.record import Record

log = logging.getLogger("xcube.jobs")
_SILENCE = 60.0
"""Seconds for which a fault that lasts is not told again."""
_WELL = 10.0
"""Seconds without a fault after which the store counts as mended."""


RETRY_SECONDS = 5.0
GONE = (FileNotFoundError, IsADirectoryError, NotADirectoryError, DamagedError, SafetensorError, KeyError, ValueError)
"""What reading a part raises that is gone, or that is not what was kept."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of an OSError on a full disk."""


class Faults:
    """The faults of one store. see_to: what somebody has to look after, as the end of a sentence."""

    def __init__(self, see_to: str) -> None:
        self._see_to = see_to
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

    def refusal(self, error: OSError, *, room_needed: bool = True) -> JobsUnavailable | StorageFull:
        """What a client is told of a fault; tells the log too. room_needed: whether something was to be kept."""
        self.tell(error)
        if room_needed and error.errno in FULL:
            return StorageFull(
                "The disk of the jobs is full: delete jobs that have ended, or try again later.",
                retry_after=RETRY_SECONDS,
            )
        return JobsUnavailable(
            f"Jobs cannot be read or stored now: try again later. If it lasts, somebody has to see to {self._see_to}",
            retry_after=RETRY_SECONDS,
        )

    def none(self) -> None:
        """Logs that all is well again, once it has been for a while."""
        if self._told and time.monotonic() - self._last > _WELL:
            log.warning("jobs can be read and stored again")
            self._told = {}


def result_gone(record: Record, error: Exception) -> ResultGone:
    """What a client is told of a result that cannot be read, which the log is told too."""
    log.warning("the result of job %s cannot be read: %s", record.id, error)
    return ResultGone(
        "The result of this job is gone, to make room or because its file was damaged: send the request again as a new "
        "job."
    )
