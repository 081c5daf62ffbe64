"""How much jobs may take, in every store."""

from __future__ import annotations

_BYTES_OF_A_VOXEL = 18
_BYTES_OF_A_RECORD = 2**14
MOST_ENDED = 50_000
"""Records of ended jobs, of which each takes some hundred bytes, at most a few thousand."""
RETRY_SECONDS = 60.0


def largest_result(max_bytes: int, max_voxels: int) -> int:
    """Bytes that are kept free for the next result, of what all jobs may take."""
    return min(2 * _BYTES_OF_A_VOXEL * max_voxels, max_bytes // 4)


def most_ended(max_bytes: int) -> int:
    """How many ended jobs are known, beside files of so many bytes."""
    return min(MOST_ENDED, max(1, max_bytes // _BYTES_OF_A_RECORD))


NO_ROOM = "There is no room for the result of another job: delete jobs that have ended, or try again later."
ALL_TAKEN = "The jobs that run take all the room: try again later."


def too_large(needed: int, limit: int) -> str:
    """Why a shape is never kept."""
    return f"The shape takes {needed} bytes, and all jobs together may take {limit}: raise XCUBE_JOBS_MAX_BYTES."
