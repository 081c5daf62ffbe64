"""An event loop that takes in connections in small groups.

asyncio takes in as many at once as may wait at the socket, 2048 with BentoML, before the first of them is told to
anybody who could count it. That reaches the limit of open files in one go, and then a fault of asyncio (in Python 3.11
to 3.13 at least) makes the process try, and log, thousands of times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

GROUP = 16
"""Connections that are taken in before the loop does other work."""


class Loop(asyncio.SelectorEventLoop):
    """asyncio's loop with its number of connections at a time apart from the number that may wait at the socket."""

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:
        """The same as asyncio's; `backlog` is for the socket alone."""
        backlog = options.get("backlog", 100)
        server = await super().create_server(*arguments, **options | {"backlog": min(backlog, GROUP)})
        listening = options.get("sock")
        if listening is not None and options.get("start_serving", True):
            listening.listen(backlog)
        return server


def loop_factory(*, use_subprocess: bool = False) -> Callable[[], asyncio.AbstractEventLoop]:
    """What uvicorn asks for: the maker of its loop; on the systems that we serve on subprocesses need no other."""
    del use_subprocess
    return Loop
