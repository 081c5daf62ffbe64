"""Text to voxels: XCube's architecture, usable without any server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.errors import CheckpointError, ConfigError, NumericError, StateError, XCubeError
from models.shape import Voxels

if TYPE_CHECKING:
    from models.pipeline import Generation, Pipeline

__all__ = [
    "CheckpointError",
    "ConfigError",
    "Generation",
    "NumericError",
    "Pipeline",
    "StateError",
    "Voxels",
    "XCubeError",
]


def __getattr__(name: str) -> Any:
    """Loads torch when a model is asked for: a process that needs errors and results alone starts without it."""
    if name in ("Generation", "Pipeline"):
        from models import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
