"""How fast a service answers probes while it works, seen from a process that does nothing else."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import httpx

from cli.connection import client

PATHS = ("/livez", "/health")
PERIOD = 0.1
LATE = 30.0
"""A probe that is not answered within this time counts as one that took it."""
Times = dict[str, list[float]]


@contextmanager
def probing(url: str) -> Iterator[Callable[[], Times]]:
    """Sends probes as long as the block runs, and at least one to each path.

    Yields:
        What ends it and gives the seconds of each probe by path, for a call at the end of the block.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    prober = context.Process(target=_probe, args=(url, there), daemon=True)
    prober.start()

    def times() -> Times:
        here.send(None)
        found: Times = here.recv()
        return found

    try:
        yield times
    finally:
        prober.terminate()
        prober.join()


def _probe(url: str, ended: Connection) -> None:
    times: Times = {path: [] for path in PATHS}
    with client(url, base_url=url, timeout=LATE) as http:
        while True:
            for path, seconds in times.items():
                start = time.monotonic()
                try:
                    http.get(path).raise_for_status()
                    seconds.append(time.monotonic() - start)
                except httpx.HTTPError:
                    seconds.append(LATE)
            if ended.poll(PERIOD):
                break
    ended.send(times)
