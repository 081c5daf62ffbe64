"""What the service counts and measures. GET /metrics shows it (metrics_page.py); docs/operations.md explains it.

Labels take their values from fixed sets, whatever a client sends, so the number of series is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from bentoml import server_context
from prometheus_client import Counter, Gauge, Histogram

from api.errors import TABLE
from api.telemetry import metrics_files
from models.version import service_version

STAGES = ("coarse", "fine")
PARTS = ("text", "fit", "coarse_diffusion", "coarse_decode", "fine_diffusion", "fine_decode", "serialize")
MODELS = ("text", "coarse", "fine", "turbo_coarse", "turbo_fine")
PROCESSES = ("http", "sampler")
WEBHOOK_OUTCOMES = ("delivered", "failed", "gone", "given_up")
JOB_STATES = ("pending", "in_progress", "completed", "failed", "canceled")
REFUSED_STATUSES = frozenset({400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 429, 503, 507})
"""Statuses of requests that are turned away; 422, 499, 500 and 504 end work that was begun."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 180, 240, 300, 450, 600)
_POINTS = (0, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
_SAMPLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

metrics_files.share()
_running = Gauge("xcube_requests_running", "Generations that are running", multiprocess_mode="livesum")
_waiting = Gauge("xcube_requests_waiting", "Generations in the queue", multiprocess_mode="livesum")
_queue_time = Histogram("xcube_request_queue_time_seconds", "Time in the queue", buckets=_SECONDS)
_request_time = Histogram(
    "xcube_request_duration_seconds", "Time from the request to the end of its answer", ["path", "status"],
    buckets=_SECONDS,
)  # fmt: skip
_part_time = Histogram(
    "xcube_stage_duration_seconds", "Time of one generation in one part of the work", ["stage"], buckets=_SECONDS
)
_steps = Counter("xcube_denoise_steps_total", "Denoising steps, counted sample by sample", ["stage"])
_batch = Histogram("xcube_batch_size", "Samples that share a slice of denoising steps", ["stage"], buckets=_SAMPLES)
_rejected = Counter("xcube_requests_rejected_total", "Requests refused before any work, by error code", ["reason"])
_failed = Counter("xcube_requests_failed_total", "Requests that failed after work had begun", ["reason"])
_cancelled = Counter("xcube_requests_cancelled_total", "Requests whose client left before the end of the answer")
_connections = Gauge("xcube_connections", "Connections over the network", multiprocess_mode="livesum")
_refused = Counter("xcube_connections_refused_total", "Connections that found no place")
_jobs_waiting = Gauge("xcube_jobs_waiting", "Jobs that wait for their turn", multiprocess_mode="livemostrecent")
_jobs = Gauge("xcube_jobs", "Jobs by state", ["state"], multiprocess_mode="livemostrecent")
_oldest_job = Gauge(
    "xcube_jobs_oldest_waiting_seconds", "How long the job waits that has waited longest",
    multiprocess_mode="livemostrecent",
)  # fmt: skip
_job_attempts = Counter("xcube_job_attempts_total", "How often a job was begun, or begun again")
_webhooks = Counter("xcube_webhook_deliveries", "Attempts to deliver webhooks, by what became of them", ["outcome"])
_restarts = Counter("xcube_process_restarts_total", "Processes that took the place of one that ended", ["process"])
_process = {
    kind: Gauge(f"xcube_process_{kind}", text, ["process", "worker"], multiprocess_mode="livemostrecent")
    for kind, text in (
        ("resident_memory_bytes", "Memory of a process that is not swapped out"),
        ("open_descriptors", "Open files and connections of a process"),
        ("max_descriptors", "How many a process may open"),
    )
}
_oom = Counter("xcube_gpu_oom_total", "How often the GPU ran out of memory")
_points = Histogram("xcube_output_points", "Points of a shape", ["stage"], buckets=_POINTS)
_memory = {
    kind: Gauge(f"xcube_gpu_memory_{kind}_bytes", text, ["worker"], multiprocess_mode="livemostrecent")
    for kind, text in (
        ("allocated", "GPU memory in tensors"),
        ("reserved", "GPU memory held by PyTorch"),
        ("total", "GPU memory in total"),
    )
}
_load_time = Gauge(
    "xcube_model_load_duration_seconds", "Time that loading a model took", ["model"], multiprocess_mode="livemostrecent"
)
_ready = Gauge("xcube_model_ready", "1 when text and coarse models are ready", multiprocess_mode="livemin")
_build = Gauge(
    "xcube_build_info", "Versions of the service and its libraries", ["version", "torch", "fvdb", "cuda", "backend"],
    multiprocess_mode="livemostrecent",
)  # fmt: skip

_REJECTIONS = frozenset(rule.code for rule in TABLE if rule.status in REFUSED_STATUSES)
_FAILURES = frozenset(rule.code for rule in TABLE if rule.status in (422, 504)) | {"internal"}


def start_sampler() -> None:
    """Makes a Sampler's series exist before the first event, so that rates do not miss it and queries find them."""
    _ready.set(0)
    _oom.inc(0)
    gpu_memory(0, 0, 0)
    for stage in STAGES:
        _steps.labels(stage).inc(0)
        _batch.labels(stage)


def start_http() -> None:
    """The same for a process that speaks HTTP."""
    _ready.set(0)
    _cancelled.inc(0)
    connections(0)
    jobs({}, 0, 0.0)
    _job_attempts.inc(0)
    for outcome in WEBHOOK_OUTCOMES:
        _webhooks.labels(outcome).inc(0)
    _refused.inc(0)
    queue(0, 0)
    for part in PARTS:
        _part_time.labels(part)
    for stage in STAGES:
        _points.labels(stage)
    for code in _REJECTIONS:
        _rejected.labels(code).inc(0)
    for code in _FAILURES:
        _failed.labels(code).inc(0)


def queue(running: int, waiting: int) -> None:
    """How many generations this process has under way and in its queue."""
    _running.set(running)
    _waiting.set(waiting)


def connections(count: int) -> None:
    """How many connections this process has."""
    _connections.set(count)


def connection_refused(answered: bool) -> None:
    """A connection found no place and was closed, or answered with `too_many_connections`."""
    _refused.inc()
    if answered:
        problem("too_many_connections")


def jobs(counts: Mapping[str, int], waiting: int, oldest: float) -> None:
    """How many jobs are in each state, how many wait for their turn and how long, in all processes that share them."""
    for state in JOB_STATES:
        _jobs.labels(state).set(counts.get(state, 0))
    _jobs_waiting.set(waiting)
    _oldest_job.set(oldest)


def job_attempted() -> None:
    """A job was begun, for the first time or again."""
    _job_attempts.inc()


def webhook(outcome: str) -> None:
    """An attempt to deliver a webhook had one of WEBHOOK_OUTCOMES."""
    _webhooks.labels(outcome).inc()


def process_started(kind: str, *, again: bool) -> None:
    """A process of one of PROCESSES has started, again if it takes the place of one that ended."""
    _restarts.labels(kind).inc(int(again))


def process(kind: str, resident: int, descriptors: int, most_descriptors: float) -> None:
    """What this process takes: bytes of memory, and descriptors of those that it may have."""
    figures = {"resident_memory_bytes": resident, "open_descriptors": descriptors, "max_descriptors": most_descriptors}
    for name, value in figures.items():
        _process[name].labels(kind, worker()).set(value)


def worker() -> str:
    """This process's number among those of its kind, from 0."""
    return str((server_context.worker_index or 1) - 1)


def queued(seconds: float) -> None:
    """A generation got its place after a time in the queue."""
    _queue_time.observe(seconds)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Measures a block as one of PARTS; one that raises is not counted."""
    start = time.perf_counter()
    yield
    _part_time.labels(name).observe(time.perf_counter() - start)


def steps(stage: str, samples: int, taken: int) -> None:
    """A batch of samples went through `taken` steps, counted over all of them."""
    _batch.labels(stage).observe(samples)
    _steps.labels(stage).inc(taken)


def points(stage: str, count: int) -> None:
    """A shape with `count` points was made."""
    _points.labels(stage).observe(count)


def out_of_memory() -> None:
    """The GPU's memory did not suffice for what was tried."""
    _oom.inc()


def ended(path: str, status: int, code: str | None, seconds: float, *, gone: bool) -> None:
    """A request ended.

    Args:
        path: The path of one of the service's routes; never what the client sent.
        status: Status of the answer; 499 if there was none.
        code: Error code of the answer, if it was an error.
        seconds: Time since the request came in.
        gone: Whether the client left before the answer's end.
    """
    _request_time.labels(path, str(status)).observe(seconds)
    if gone:
        _cancelled.inc()
    elif code is not None:
        problem(code)


def problem(code: str) -> None:
    """A request, one item of a batch or an event stream ended with an error of this code."""
    if code in _REJECTIONS:
        _rejected.labels(code).inc()
    elif code in _FAILURES:
        _failed.labels(code).inc()


def ready(value: bool) -> None:
    """Whether this process sees the models ready."""
    _ready.set(value)


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Measures the loading of one of MODELS."""
    start = time.perf_counter()
    yield
    _load_time.labels(model).set(time.perf_counter() - start)


def gpu_memory(allocated: int, reserved: int, total: int) -> None:
    """Bytes of the GPU of this Sampler process; zeros without a GPU."""
    for kind, value in (("allocated", allocated), ("reserved", reserved), ("total", total)):
        _memory[kind].labels(worker()).set(value)


def build(torch: str, cuda: str | None, backend: str) -> None:
    """What this process runs on."""
    _build.labels(service_version(), torch, _version_of("fvdb-core"), cuda or "none", backend).set(1)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
