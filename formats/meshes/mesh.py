"""A mesh of triangles as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AXES = ("y", "z", "x", "-y", "-z", "-x")
"""What may be up in a file."""


@dataclass(frozen=True)
class Mesh:
    """vertices: float64 [V, 3]; faces: int64 [F, 3], counter-clockwise as seen from outside."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def corners(self) -> NDArray[np.float64]:
        """The corners of every face, [F, 3, 3]."""
        return self.vertices[self.faces]

    def upright(self, up: str) -> Mesh:
        """The mesh turned so that its axis `up`, one of AXES, becomes +y. A turn, never a reflection."""
        x, y, z = self.vertices.T
        turned = {
            "y": (x, y, z), "z": (x, z, -y), "x": (-y, x, z), "-y": (x, -y, -z), "-z": (x, -z, y), "-x": (y, -x, z),
        }[up]  # fmt: skip
        return Mesh(np.stack(turned, 1), self.faces)

    def fitted(self, size: float) -> Mesh:
        """The mesh moved and scaled so that its box has its middle in the origin and its longest side is `size`."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        return Mesh((self.vertices - (low / 2 + high / 2)) * (size / (high - low).max()), self.faces)
