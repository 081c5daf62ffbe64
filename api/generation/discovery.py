"""Many Samplers behind one URL: how many there are, and how calls reach all of them.

The name of a headless Service in Kubernetes has an address for each of its pods.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

PERIOD = 5.0
"""Seconds between two look-ups."""


async def count(url: str) -> int:
    """Addresses behind a URL's name, at least one. Where each Sampler has an IPv4 and an IPv6 address, one of them."""
    parts = urlsplit(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError:
        return 1
    families = Counter(family for family, _ in {(family, address[0]) for family, _, _, _, address in found})
    return max(families.values(), default=1)


async def follow(url: str, tell: Callable[[int], None]) -> None:
    """Tells again and again how many there are; ends when cancelled."""
    while True:
        tell(await count(url))
        await asyncio.sleep(PERIOD)


def choose_anew(sampler: Any) -> None:
    """Makes a BentoML proxy connect for each call: a connection that stays open leads to one Sampler for ever."""
    sampler.to_async.default_headers["Connection"] = "close"
