"""What the service needs of BentoML's inside, which may change with any version of it; nothing else in api/ takes it.

BentoML has no public way to its tracer, to the trace of the current request, to the folder of its metrics, to the one
that it was started in, to the address that it listens on by default, or from the address of a socket to its path.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import trace_context
from bentoml._internal.service import loader
from bentoml._internal.utils.uri import uri_to_path

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


def tracer() -> Tracer:
    """The tracer that BentoML is configured with."""
    found: Tracer = BentoMLContainer.tracer_provider.get().get_tracer("xcube")
    return found


def trace_id() -> str | None:
    """The id of the trace that the current request belongs to, 32 hexadecimal digits; None outside of a trace."""
    return format(trace_context.trace_id, "032x") if trace_context.trace_id else None


def use_metrics_folder(folder: Path) -> None:
    """Makes `bentoml serve` in this process tell its processes to share figures through a folder."""
    BentoMLContainer.prometheus_multiproc_dir.set(str(folder))


def start_folder() -> Path:
    """The folder that this process was started in, as long as BentoML imports the service in the project's folder."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == loader.__name__ and (folder := frame.f_locals.get("prev_cwd")):
            return Path(folder)
        frame = frame.f_back
    return Path.cwd()


def path_of(uri: str) -> Path:
    """The path of a socket from its address, `file://...`."""
    return Path(uri_to_path(uri))


def default_host() -> str:
    """The address that `bentoml serve` listens on if it is told none."""
    return str(BentoMLContainer.http.host.get())
