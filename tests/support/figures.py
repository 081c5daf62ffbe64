"""What a running service says about itself in /metrics, and how tests wait for it instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from tests.support.service import Server

NAMES = {
    "xcube_requests_running": "gauge",
    "xcube_requests_waiting": "gauge",
    "xcube_request_queue_time_seconds": "histogram",
    "xcube_request_duration_seconds": "histogram",
    "xcube_stage_duration_seconds": "histogram",
    "xcube_denoise_steps": "counter",
    "xcube_batch_size": "histogram",
    "xcube_requests_rejected": "counter",
    "xcube_requests_failed": "counter",
    "xcube_requests_cancelled": "counter",
    "xcube_connections": "gauge",
    "xcube_connections_refused": "counter",
    "xcube_jobs_waiting": "gauge",
    "xcube_jobs": "gauge",
    "xcube_jobs_oldest_waiting_seconds": "gauge",
    "xcube_job_attempts": "counter",
    "xcube_webhook_deliveries": "counter",
    "xcube_process_restarts": "counter",
    "xcube_process_resident_memory_bytes": "gauge",
    "xcube_process_open_descriptors": "gauge",
    "xcube_process_max_descriptors": "gauge",
    "xcube_gpu_oom": "counter",
    "xcube_output_points": "histogram",
    "xcube_gpu_memory_allocated_bytes": "gauge",
    "xcube_gpu_memory_reserved_bytes": "gauge",
    "xcube_gpu_memory_total_bytes": "gauge",
    "xcube_model_load_duration_seconds": "gauge",
    "xcube_model_ready": "gauge",
    "xcube_build_info": "gauge",
}
"""Every metric of this project and its type."""
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
PATIENCE = 90.0
"""Seconds after which a test gives up: long, since only a fault makes anybody wait for so long."""


def read(server: Server) -> Series:
    """Every figure, by its name and labels."""
    answer = server.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(server: Server, name: str, **labels: str) -> float:
    """One figure; 0 where there is none."""
    return read(server).get((name, frozenset(labels.items())), 0.0)


def total(server: Server, name: str) -> float:
    """The sum of a figure over its labels."""
    return sum(figure for (other, _), figure in read(server).items() if other == name)


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def running(server: Server) -> float:
    """Generations under way."""
    return value(server, "xcube_requests_running")


def waiting(server: Server) -> float:
    """Generations in the queue."""
    return value(server, "xcube_requests_waiting")


def cancelled(server: Server) -> float:
    """Clients that left, so far."""
    return value(server, "xcube_requests_cancelled_total")


def steps(server: Server) -> float:
    """Denoising steps so far, of all samples and stages."""
    return total(server, "xcube_denoise_steps_total")


def slices(server: Server) -> float:
    """Slices of denoising steps so far."""
    return total(server, "xcube_batch_size_count")


def wait_idle(server: Server) -> None:
    """Waits until nothing runs or waits, then proves that nobody computes behind the figures' back.

    A request of one step goes through the same lane as everything else: whatever is still under way would take steps
    beside it.
    """
    wait_for(lambda: running(server) == 0 and waiting(server) == 0)
    for _ in range(2):  # the first one waits for a slice that was under way already
        before = steps(server)
        assert server.generate(ddim_steps=1, use_fine=False).status_code == 200
        after = steps(server)
    assert after - before == 1
