"""How long each part of a request took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from api.telemetry import tracing


class Timings:
    """Seconds by part of the work, for the header Server-Timing."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measures a block as one part, which is a span of the request's trace too."""
        start = time.perf_counter()
        try:
            with tracing.span(name):
                yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def header(self) -> str:
        """The header's value, in milliseconds."""
        return ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in self.seconds.items())
