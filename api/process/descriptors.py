"""How many connections the process's limit of open files has room for. An HTTP process that reaches it is deaf."""

from __future__ import annotations

import logging
import resource

from api.process.places import SPARE

RESERVED = 200
"""Descriptors for all but connections of clients: libraries, the log, metrics, Samplers, files of jobs, a burst."""
FEWEST = 16
"""Connections that a process takes even where the limit has no room for them."""
log = logging.getLogger("xcube.connections")


def room_for(wanted: int) -> int:
    """Raises the limit of this process as far as the system allows and `wanted` connections need.

    Returns:
        The connections that fit, `wanted` at most.
    """
    needed = wanted + SPARE + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        except (OSError, ValueError) as error:  # macOS has a lower limit than the one it tells
            log.warning("the limit of open files stays at %d: %s", soft, error)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    return max(FEWEST, soft - SPARE - RESERVED)
