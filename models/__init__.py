"""Text to voxels: XCube's architecture, usable without any server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.errors import CheckpointError, ConfigError, NumericError, StateError, XCubeError
from models.shape import Shape, Voxels

if TYPE_CHECKING:
    from models.pipeline import Pipeline

__all__ = [
    "CheckpointError",
    "ConfigError",
    "NumericError",
    "Pipeline",
    "Shape",
    "StateError",
    "Voxels",
    "XCubeError",
]


def __getattr__(name: str) -> Any:
    """Loads torch when a model is asked for: a process that needs errors and shapes alone starts without it."""
    if name == "Pipeline":
        from models.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
