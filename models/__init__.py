"""Text to voxels: XCube's architecture, usable without any server."""

from __future__ import annotations

from models.errors import CheckpointError, ConfigError, NumericError, StateError, XCubeError
from models.pipeline import Generation, Pipeline
from models.result import Voxels

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
