"""Which store of jobs a service has, by its settings."""

from __future__ import annotations

from collections.abc import Callable

from api.addresses import results_at
from api.jobs.embedded.store import EmbeddedStore
from api.jobs.store import Store
from api.settings import Settings


def store_for(settings: Settings, arithmetic: Callable[[], str]) -> Store:
    """The store that settings ask for.

    Args:
        settings: Those of the service.
        arithmetic: Tells what changes the bytes of a result besides the request, as it is now.
    """
    if settings.jobs_url is None or settings.results_url is None:
        return EmbeddedStore(settings.jobs_dir, arithmetic, settings.jobs_max_bytes, settings.max_voxels)
    # Loaded where they are needed: most services are alone, and start sooner without these libraries.
    from api.jobs.shared.objects import objects_at
    from api.jobs.shared.store import SharedStore

    return SharedStore(
        settings.jobs_url.get_secret_value(), objects_at(results_at(settings.results_url.get_secret_value())),
        arithmetic, settings.jobs_max_bytes, settings.max_voxels,
    )  # fmt: skip
