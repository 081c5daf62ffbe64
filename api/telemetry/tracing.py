"""Spans of OpenTelemetry for the parts of a generation, through the tracer that BentoML is configured with.

They are children of BentoML's span of the request; the calls to the Sampler are children of theirs in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api import call as calls
from api.telemetry.bentoml_internals import tracer

REQUEST_ID = "xcube.request_id"


@contextmanager
def span(name: str) -> Iterator[None]:
    """A block as a span with the request's id; an error that leaves it is recorded in it."""
    call = calls.known()
    attributes = {} if call is None else {REQUEST_ID: call.id}
    with tracer().start_as_current_span(name, attributes=attributes):
        yield
