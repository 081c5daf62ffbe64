"""The exceptions of the project, one tree.

XCubeError
├── ConfigError        a configuration file or value is wrong
├── CheckpointError    a checkpoint cannot be read or does not fit
├── BackendError       a library for sparse grids cannot be used
├── StateError         a saved generation state cannot be read
├── NumericError       a model produced NaN or infinity
├── MeshError          a mesh of others cannot be read or used
└── ShapeError         a shape cannot become the file that was asked for
"""

from __future__ import annotations


class XCubeError(Exception):
    """Base of every error that a caller may show to a person: one sentence, what is wrong and what to do."""


class ConfigError(XCubeError):
    """A configuration file or value is wrong; the text names it."""


class OtherTeacherError(ConfigError):
    """A student learnt from another model than that of its set."""


class CheckpointError(XCubeError):
    """A checkpoint cannot be read, or does not fit the architecture; the text names file and key."""


class BackendError(XCubeError):
    """A library for sparse grids was asked for and cannot be used; the text names the package."""


class StateError(XCubeError):
    """A saved generation state cannot be read by this version."""


class NumericError(XCubeError):
    """A model produced NaN or infinity; the text names stage and step."""


class MeshError(XCubeError):
    """A mesh of others cannot be read, or has no surface that could be used; the text says what to do about it."""


class ShapeError(XCubeError):
    """A shape cannot become the file that was asked for: it is too large for the format, or for an option."""
