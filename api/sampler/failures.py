"""What becomes of an exception in the models: an outcome, and a line in the log where nobody else would tell of it."""

from __future__ import annotations

import logging
from typing import TypeVar

import torch

from api.errors import OutOfMemory
from api.messages import Outcome, failure
from api.telemetry import metrics
from models.errors import CheckpointError, ConfigError, XCubeError

log = logging.getLogger("xcube.engine")
AnyOutcome = TypeVar("AnyOutcome", bound=Outcome)


def failed(kind: type[AnyOutcome], error: Exception) -> AnyOutcome:
    """The outcome of what raised an exception, which may be a bug."""
    if isinstance(error, torch.OutOfMemoryError):
        metrics.out_of_memory()
        torch.cuda.empty_cache()
        error = OutOfMemory("The GPU has too little memory for this shape now: set use_fine to false or try later.")
    elif not isinstance(error, XCubeError):
        log.error("a bug in the models' code", exc_info=error)
    elif isinstance(error, CheckpointError | ConfigError):
        log.error("a model cannot be read: %s", error)  # with the folders that clients are not told
    code, text = failure(error)
    return kind(code=code, error=text)
