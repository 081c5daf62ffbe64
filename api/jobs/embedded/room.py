"""Room for results: the oldest ones go first, and jobs whose results could not be kept are refused."""

from __future__ import annotations

import logging

from api.errors import StorageFull, TooManyVoxels
from api.jobs import limits
from api.jobs.embedded.files import RESERVE_BYTES, Files, Usage
from api.jobs.embedded.records import Records

log = logging.getLogger("xcube.jobs")


class Room:
    """What the folder of jobs may take: `max_bytes`, and nine tenths of its disk.

    Args:
        files: The folder.
        records: Tell which jobs have ended, and when.
        max_bytes: What all files together may take.
        max_voxels: Most voxels of a shape, coarse or fine.
    """

    def __init__(self, files: Files, records: Records, max_bytes: int, max_voxels: int) -> None:
        self._files = files
        self._records = records
        self._max_bytes = max_bytes
        self._result = limits.largest_result(max_bytes, max_voxels)
        self.most_ended = limits.most_ended(max_bytes)

    def check(self) -> None:
        """Lets pass a new job.

        Raises:
            StorageFull: Even without all the results that may go, there would be no room for another one.
        """
        usage, needed = self._files.usage(), self._result
        over = max(0, usage.total + needed - self._limit(usage))
        ended = sum(usage.jobs.get(id_, 0) for id_ in self._records.ended()) if over else 0
        if over > ended or usage.free + over < needed:
            raise StorageFull(limits.NO_ROOM, retry_after=limits.RETRY_SECONDS)

    def make(self, needed: int) -> None:
        """Makes room for as many bytes.

        Raises:
            StorageFull: The files of jobs that have not ended take it.
            TooManyVoxels: It is more than the folder may ever take.
        """
        usage = self._files.usage()
        limit = self._limit(usage)
        if needed > limit:
            raise TooManyVoxels(limits.too_large(needed, limit))
        over = usage.total + needed - limit
        if over <= 0:
            return
        gone = 0
        for id_ in self._records.ended():
            if over <= 0:
                break
            if (size := usage.jobs.get(id_, 0)) > 0:
                self._files.remove(id_)
                over -= size
                gone += 1
        if gone:
            log.info("results of jobs that had to make room: %d", gone)
        if over > 0:
            raise StorageFull(limits.ALL_TAKEN, retry_after=limits.RETRY_SECONDS)

    def tend(self) -> None:
        """Has the folder keep within its limit, and keep its reserve where that leaves room for others."""
        wanted = not self._files.has_reserve() and self._files.usage().free > 4 * RESERVE_BYTES
        self.make(RESERVE_BYTES if wanted else 0)
        if wanted:
            self._files.reserve()

    def _limit(self, usage: Usage) -> int:
        return min(self._max_bytes, usage.disk // 10 * 9)
