"""What BentoML is told of both services, and what `bentoml serve` starts: which service, and at which address.

BentoML deploys the service that it was told to serve first, then those that this one depends on.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import bentoml
import click

from api.settings import Settings

SAMPLER_CONNECTION: dict[str, Any] = {"runner_connection": {"max_requests": 1_000_000_000, "max_age": 1e9}}
"""Without these BentoML closes the connection to a Sampler every 100 calls, with calls still in flight."""
_deployed: list[Any] = []


def options(settings: Settings) -> dict[str, Any]:
    """Options of BentoML that both services have.

    Its own limits stay out of the way: deadlines and queues are api/'s. Its own metrics have a label with whatever path
    was asked for, so that any stranger could make series without end.
    """
    return {
        "traffic": {"timeout": settings.deadline_seconds + settings.drain_seconds},
        "metrics": {"enabled": False},
        "logging": {"access": {"enabled": False}},
    }


def follow(service: Any, before_it_listens: Callable[[], None] = lambda: None) -> None:
    """Follows what is deployed; has something called before a service starts, where that listens at the address itself.

    Call it for both services: a Sampler that is deployed after XCube only listens for XCube.
    """

    def deploy() -> None:
        _deployed.append(service)
        if _deployed[0] is service:
            before_it_listens()

    service.inner.deploy = bentoml.on_deployment(deploy)


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
