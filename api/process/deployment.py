"""What `bentoml serve` starts, as the process sees it that starts the others: which service, and at which address.

BentoML deploys the service that it was told to serve first, then those that this one depends on.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import click

_entry: list[str] = []


def is_entry(service: str) -> bool:
    """Whether a service that is being deployed is the one that listens at the address; called once for each."""
    _entry.append(service)
    return _entry[0] == service


def host(default: Callable[[], str]) -> str:
    """The address to listen on: what `bentoml serve` was told, or else the default of BentoML's configuration."""
    context = click.get_current_context(silent=True)
    return str((context and context.params.get("host")) or default())


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address; what is no address counts as one that others reach."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
