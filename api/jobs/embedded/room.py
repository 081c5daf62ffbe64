"""Room for results: the oldest ones go first, and jobs whose results could not be kept are refused."""

from __future__ import annotations

import logging

from api.errors import StorageFull, TooManyVoxels
from api.jobs.embedded.files import RESERVE_BYTES, Files, Usage
from api.jobs.embedded.records import Records

log = logging.getLogger("xcube.jobs")
RETRY_SECONDS = 60.0
_BYTES_OF_A_VOXEL = 18
_BYTES_OF_A_RECORD = 2**14
MOST_ENDED = 50_000
"""Records of ended jobs, of which each takes some hundred bytes, at most a few thousand."""


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
        self._result = min(2 * _BYTES_OF_A_VOXEL * max_voxels, max_bytes // 4)
        self.most_ended = min(MOST_ENDED, max(1, max_bytes // _BYTES_OF_A_RECORD))

    def check(self) -> None:
        """Lets pass a new job.

        Raises:
            StorageFull: Even without all the results that may go, there would be no room for another one.
        """
        usage, needed = self._files.usage(), self._result
        over = max(0, usage.total + needed - self._limit(usage))
        ended = sum(usage.jobs.get(id_, 0) for id_ in self._records.ended()) if over else 0
        if over > ended or usage.free + over < needed:
            raise StorageFull(
                "There is no room for the result of another job: delete jobs that have ended, or try again later.",
                retry_after=RETRY_SECONDS,
            )

    def make(self, needed: int) -> None:
        """Makes room for as many bytes.

        Raises:
            StorageFull: The files of jobs that have not ended take it.
            TooManyVoxels: It is more than the folder may ever take.
        """
        usage = self._files.usage()
        limit = self._limit(usage)
        if needed > limit:
            raise TooManyVoxels(
                f"The shape takes {needed} bytes, and all jobs together may take {limit}: raise XCUBE_JOBS_MAX_BYTES."
            )
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
            raise StorageFull("The jobs that run take all the room: try again later.", retry_after=RETRY_SECONDS)

    def tend(self) -> None:
        """Has the folder keep within its limit, and keep its reserve where that leaves room for others."""
        wanted = not self._files.has_reserve() and self._files.usage().free > 4 * RESERVE_BYTES
        self.make(RESERVE_BYTES if wanted else 0)
        if wanted:
            self._files.reserve()

    def _limit(self, usage: Usage) -> int:
        return min(self._max_bytes, usage.disk // 10 * 9)
