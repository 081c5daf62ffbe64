"""Room for results of all services together, as the records count it: the oldest results go first."""

from __future__ import annotations

import logging
import time

from api.errors import StorageFull, TooManyVoxels
from api.jobs import limits
from api.jobs.shared.records import Records

log = logging.getLogger("xcube.jobs")
_LOOKING = 5.0
"""Seconds for which room that was seen is taken for granted: every job that runs asks for some every second."""


class Room:
    """What all jobs may keep.

    Args:
        records: Tell how much it is.
        max_bytes: What it may be.
        max_voxels: Most voxels of a shape, coarse or fine.
    """

    def __init__(self, records: Records, max_bytes: int, max_voxels: int) -> None:
        self._records = records
        self._max_bytes = max_bytes
        self._result = limits.largest_result(max_bytes, max_voxels)
        self._left = 0
        self._looked = float("-inf")
        self.most_ended = limits.most_ended(max_bytes)

    async def check(self) -> None:
        """Lets pass a new job.

        Raises:
            StorageFull: Even without all the results that may go, there would be no room for another one.
        """
        used, ended = await self._records.used()
        if used + self._result - self._max_bytes > ended:
            raise StorageFull(limits.NO_ROOM, retry_after=limits.RETRY_SECONDS)

    async def make(self, needed: int) -> list[str]:
        """Makes room for as many bytes. Returns the ids of the jobs whose files nobody may read any more.

        Raises:
            StorageFull: Jobs that have not ended take it.
            TooManyVoxels: It is more than all jobs may ever take.
        """
        if needed > self._max_bytes:
            raise TooManyVoxels(limits.too_large(needed, self._max_bytes))
        if needed <= self._left and time.monotonic() - self._looked < _LOOKING:
            self._left -= needed
            return []
        used, ended = await self._records.used()
        over = used + needed - self._max_bytes
        self._looked, self._left = time.monotonic(), max(0, -over)
        if over <= 0:
            return []
        gone = await self._records.make_room(min(over, ended))
        if gone:
            log.info("results of jobs that had to make room: %d", len(gone))
        if over > ended:
            raise StorageFull(limits.ALL_TAKEN, retry_after=limits.RETRY_SECONDS)
        return gone
