# ruff: noqa: N818 -- these are named for what a client did or meets, as HTTP names its statuses
"""Every error that a client can see: one table from exception to status and code, one shape of body.

A body is ``{"error": "one sentence: what is wrong and what to do", "code": "snake_case", "retryable": bool}``,
whoever raised the error. ``retryable`` says that the same request may succeed later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import orjson

from models.errors import CheckpointError, ConfigError, NumericError, ShapeError, StateError, XCubeError


class ApiError(XCubeError):
    """Base of the errors that arise in the service; ``retry_after`` is in seconds, where waiting helps."""

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class InvalidRequest(ApiError):
    """The request's JSON is malformed, or a field is missing, unknown or out of range."""


class TooSlow(ApiError):
    """By measured step times the request cannot end before the deadline."""


class NotFound(ApiError):
    """No such path."""


class MethodNotAllowed(ApiError):
    """The path exists, the method does not."""


class NotAcceptable(ApiError):
    """The client accepts none of the formats that the service writes."""


class Unauthorized(ApiError):
    """The request has no valid API key."""


class Forbidden(ApiError):
    """The service does not do this for anybody, as it is set up."""


class JobNotFinished(ApiError):
    """The job has no result yet."""


class JobCanceled(ApiError):
    """The job was canceled; it will have no result."""


class IdempotencyConflict(ApiError):
    """The idempotency key belongs to another request."""


class BodyTimeout(ApiError):
    """The request's body did not arrive in time."""


class BodyTooLarge(ApiError):
    """The request's body is longer than the limit."""


class UnsupportedMediaType(ApiError):
    """The request's body is not declared as plain JSON."""


class EmptyResult(ApiError):
    """The model produced no voxels for this prompt and seed."""


class TooManyVoxels(ApiError):
    """The shape has more voxels than the service is set to handle."""


class ClientGone(ApiError):
    """The client closed its connection; nobody will read the answer."""


class QueueFull(ApiError):
    """Too many requests wait already."""


class QuotaExceeded(ApiError):
    """The client's key has had what it may have."""


class TooManyConnections(ApiError):
    """All places for connections are taken; only probes are answered."""


class StillLoading(ApiError):
    """The models are on their way. The only error whose text has the words ``still loading``."""


class ModelsUnavailable(ApiError):
    """The models failed to load."""


class ModelsChanged(ApiError):
    """The work was begun with other models than there are now; its half-made latents mean nothing to these."""


class OutOfMemory(ApiError):
    """The GPU's memory did not suffice, whatever the service tried."""


class JobsUnavailable(ApiError):
    """The store of jobs cannot be used now."""


class StorageFull(JobsUnavailable):
    """The store of jobs has no room for more."""


class ResultGone(ApiError):
    """The result of a job was removed to make room, or its file is damaged."""


class ModelsGone(ApiError):
    """No service has the models any more that a job was accepted for."""


class JobCrashed(ApiError):
    """One process after the other has ended while it worked on this job."""


class JobUnreadable(ApiError):
    """The record of the job makes no sense."""


class Draining(ApiError):
    """The service is stopping and takes no new work."""


class WorkerLost(ApiError):
    """A Sampler process could not be reached, or ended with work in its hands."""


class DeadlinePassed(ApiError):
    """The request did not end in time; its work has stopped."""


@dataclass(frozen=True)
class Rule:
    """How one type of exception looks to a client."""

    exception: type[XCubeError]
    status: int
    code: str
    retryable: bool


TABLE = (
    Rule(InvalidRequest, 400, "invalid_request", False),
    Rule(TooSlow, 400, "too_slow", False),
    Rule(Unauthorized, 401, "unauthorized", False),
    Rule(Forbidden, 403, "forbidden", False),
    Rule(NotFound, 404, "not_found", False),
    Rule(MethodNotAllowed, 405, "method_not_allowed", False),
    Rule(NotAcceptable, 406, "not_acceptable", False),
    Rule(BodyTimeout, 408, "body_timeout", True),
    Rule(JobNotFinished, 409, "job_not_finished", True),
    Rule(JobCanceled, 409, "job_canceled", False),
    Rule(IdempotencyConflict, 409, "idempotency_conflict", False),
    Rule(ResultGone, 410, "result_gone", False),
    Rule(ModelsGone, 410, "models_gone", False),
    Rule(BodyTooLarge, 413, "body_too_large", False),
    Rule(UnsupportedMediaType, 415, "unsupported_media_type", False),
    Rule(EmptyResult, 422, "empty_result", False),
    Rule(TooManyVoxels, 422, "too_many_voxels", False),
    Rule(NumericError, 422, "not_finite", False),
    Rule(StateError, 422, "unreadable_state", False),
    Rule(ShapeError, 422, "unfit_shape", False),
    Rule(JobCrashed, 422, "job_crashed", False),
    Rule(JobUnreadable, 422, "unreadable_job", False),
    Rule(QueueFull, 429, "queue_full", True),
    Rule(QuotaExceeded, 429, "quota_exceeded", True),
    Rule(ClientGone, 499, "client_gone", False),
    Rule(StillLoading, 503, "loading", True),
    Rule(ModelsUnavailable, 503, "models_unavailable", False),
    Rule(CheckpointError, 503, "models_unavailable", False),
    Rule(ConfigError, 503, "models_unavailable", False),
    Rule(ModelsChanged, 503, "models_changed", True),
    Rule(JobsUnavailable, 503, "jobs_unavailable", True),
    Rule(OutOfMemory, 503, "out_of_memory", True),
    Rule(TooManyConnections, 503, "too_many_connections", True),
    Rule(Draining, 503, "draining", True),
    Rule(WorkerLost, 503, "worker_lost", True),
    Rule(DeadlinePassed, 504, "deadline_passed", True),
    Rule(StorageFull, 507, "storage_full", True),
)
_BY_TYPE = {rule.exception: rule for rule in TABLE}
_BY_CODE = {rule.code: rule for rule in reversed(TABLE)}
_INTERNAL = Rule(XCubeError, 500, "internal", True)
_INTERNAL_TEXT = "The service failed because of a bug: please report it with the request id from X-Request-ID."


@dataclass(frozen=True)
class Problem:
    """An error as a client sees it."""

    status: int
    code: str
    error: str
    retryable: bool
    retry_after: float | None = None

    def body(self) -> bytes:
        """The JSON object that is sent."""
        return orjson.dumps({"error": self.error, "code": self.code, "retryable": self.retryable})

    def headers(self) -> dict[str, str]:
        """Headers that go with the body: ``Retry-After`` in whole seconds, where a wait is known."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return headers


def rule_of(error: BaseException) -> Rule | None:
    """The row of the table for an exception (its nearest base class counts), or None: then it is a bug."""
    return next((rule for base in type(error).__mro__ if (rule := _BY_TYPE.get(base))), None)


def problem_of(error: BaseException) -> Problem:
    """The problem that an exception means; one without a row in the table is a bug, and its text stays inside."""
    rule = rule_of(error)
    if rule is None:
        return Problem(_INTERNAL.status, _INTERNAL.code, _INTERNAL_TEXT, _INTERNAL.retryable)
    retry_after = error.retry_after if isinstance(error, ApiError) else None
    return Problem(rule.status, rule.code, str(error), rule.retryable, retry_after)


def error_of_code(code: str, text: str) -> XCubeError:
    """The exception for a code that came from another process; the inverse of :func:`rule_of`."""
    rule = _BY_CODE.get(code)
    return rule.exception(text) if rule else XCubeError(text)


def is_problem(body: bytes) -> bool:
    """Whether a body is one that `Problem.body` has made."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and set(value) == {"error", "code", "retryable"}


def problem_of_status(status: int, path: str, prefix: str = "", guide: str = "/docs") -> Problem:
    """The problem for an error that the framework answered.

    Args:
        status: HTTP status of that answer, 400 or above.
        path: Path that was asked for.
        prefix: Under which a proxy serves the service.
        guide: Path of the page that describes all others.
    """
    shown = f"{prefix}{path}"[:80]
    match status:
        case 404:
            return problem_of(NotFound(f"There is nothing at {shown}: see {prefix}/ for the paths that exist."))
        case 405:
            return problem_of(
                MethodNotAllowed(f"{shown} does not support this method: see {prefix}{guide} for those it supports.")
            )
        case 415:
            return problem_of(UnsupportedMediaType("Send the body as application/json."))
        case 503:
            return problem_of(WorkerLost("The service cannot take this request now: try again in a few seconds."))
        case 504:
            return problem_of(DeadlinePassed("The request took too long and was stopped: ask for fewer steps."))
        case _ if status < 500:
            return problem_of(InvalidRequest(f"The request is not what this path expects: see {prefix}{guide}."))
        case _:
            return problem_of(RuntimeError())
