"""The paths that every process with a port answers to machines: BentoML's probes, and the metrics."""

from __future__ import annotations

PROBES = ("/livez", "/readyz", "/healthz", "/metrics")
