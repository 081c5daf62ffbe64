"""The paths that every process with a port answers to machines: BentoML's probes, and the metrics."""

from __future__ import annotations

PROBES = ("/livez", "/readyz", "/healthz", "/metrics")
INFERENCE = "/v2"
"""Below it lie the probes of the Open Inference Protocol, of the service and of each model."""
ALWAYS_ANSWERED = (*PROBES, "/health", INFERENCE)
"""The paths that are answered even if there are too many connections for anything else."""


def is_always_answered(path: str) -> bool:
    """Whether a path is one of those, or lies below INFERENCE."""
    return path in ALWAYS_ANSWERED or path.startswith(f"{INFERENCE}/")
