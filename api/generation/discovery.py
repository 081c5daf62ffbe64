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

from api.messages import authorization
from api.settings import Settings

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


async def follow(url: str | None, tell: Callable[[int], None]) -> None:
    """Tells again and again how many Samplers a URL leads to; ends when cancelled, or at once without a URL."""
    while url is not None:
        tell(await count(url))
        await asyncio.sleep(PERIOD)


def prepare(sampler: Any, settings: Settings) -> None:
    """Makes a BentoML proxy send the token, if there is one, and connect for each call to Samplers elsewhere.

    A connection that stays open would always lead to the same Sampler.
    """
    headers = sampler.to_async.default_headers
    if settings.sampler_token is not None:
        headers["Authorization"] = authorization(settings.sampler_token.get_secret_value())
    if settings.sampler_url is not None:
        headers["Connection"] = "close"
