"""Resident memory of a service's processes on this machine, over time."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import psutil

from api.process import supervisor

PERIOD = 2.0
SETTLING = 0.3
"""First part of a run that does not count: models load on first use, allocators fill their pools."""
MEGABYTE = 1e6


class NoServiceError(Exception):
    """No process of this machine listens on the port."""


def processes(port: int) -> list[psutil.Process]:
    """The processes of the service that listens on a port: the supervisor and all its descendants.

    Raises:
        NoServiceError: Nobody listens there, or another user's process does.
    """
    listening = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid
    }
    if not listening:
        raise NoServiceError(f"No process of yours listens on port {port} here: --soak needs the service's machine.")
    one = psutil.Process(listening.pop())
    top = psutil.Process(supervisor.process_id(one.environ()) or one.pid)
    return [top, *top.children(recursive=True)]


class Memory:
    """Samples of the resident memory, as seconds since the start and bytes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._start = time.monotonic()
        self.samples: list[tuple[float, int]] = []

    async def watch(self) -> None:
        """Takes samples until it is cancelled. It also finds processes that were restarted meanwhile."""
        while True:
            self.samples.append((time.monotonic() - self._start, await asyncio.to_thread(self._resident)))
            await asyncio.sleep(PERIOD)

    def _resident(self) -> int:
        total = 0
        for process in processes(self._port):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def growth(self) -> float:
        """Growth of the fitted line, as a share of its start; the first part of the run does not count.

        Raises:
            ValueError: There are fewer than 10 samples.
        """
        after = SETTLING * self.samples[-1][0] if self.samples else 0.0
        counted = np.array([sample for sample in self.samples if sample[0] >= after], dtype=float)
        if len(counted) < 10:
            raise ValueError("too few samples for a slope: run for a longer time")
        seconds, resident = counted.T
        slope, at_zero = np.polyfit(seconds, resident, 1)
        first, last = (at_zero + slope * seconds[index] for index in (0, -1))
        return float((last - first) / first)

    def largest(self) -> int:
        """The largest sample in bytes."""
        return max(size for _, size in self.samples)
