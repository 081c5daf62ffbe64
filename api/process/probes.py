"""The paths that every process with a port answers to machines: BentoML's probes, and the metrics."""

from __future__ import annotations

PROBES = ("/livez", "/readyz", "/healthz", "/metrics")
ALWAYS_ANSWERED = frozenset({*PROBES, "/health"})
"""The paths that are answered even if there are too many connections for anything else."""
