"""Which models a job is for: the same seed gives other bytes with other weights, so that no others may run it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from api.messages import Status, weights_of

GONE = (
    "No service has had the models of this job for as long as jobs are kept: send the request again as a new job, "
    "which the models of today run."
)
"""Why a job ends that has waited for its models in vain."""


def models_of(status: Status) -> str | None:
    """The models of a service, as jobs name them; None while it does not know them."""
    return json.dumps(status.versions) if status.versions else None


def named(models: str | None) -> dict[str, str] | None:
    """Each model's version by its name; None if any will do, or nobody can tell."""
    try:
        found = json.loads(models) if models else None
    except ValueError:
        return None
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, Mapping) else None


def weights_for(models: str | None) -> str:
    """What an order says of the models that may begin it."""
    return weights_of(named(models) or {})
