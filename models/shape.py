"""What a stage gives back: voxels with normals, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHORTEST_NORMAL = 1e-8


@dataclass(frozen=True)
class Voxels:
    """A decoded shape: N voxels with normals; `len(voxels)` is N, which may be 0.

    ijk: int16 [N, 3], ascending in (i, j, k); the origin lies between voxels -1 and 0. normal: float32 [N, 3] of unit
    length. voxel_size: edge of a voxel in world units; a shape lies within [-0.5, 0.5] along each axis. Shapes of the
    demo models stand upright along +y, and their normals point outwards.
    """

    ijk: NDArray[np.int16]
    normal: NDArray[np.float32]
    voxel_size: float

    def __len__(self) -> int:
        return len(self.ijk)

    @property
    def xyz(self) -> NDArray[np.float32]:
        """Voxel centres in world units, float32 [N, 3]."""
        return ((self.ijk.astype(np.float64) + 0.5) * self.voxel_size).astype(np.float32)


def unit_normals(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normals [N, 3] scaled to unit length; one shorter than 1e-8 has no direction and becomes +z."""
    length = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
    up = np.array([0.0, 0.0, 1.0])
    return np.where(length < SHORTEST_NORMAL, up, raw / np.maximum(length, SHORTEST_NORMAL)).astype(np.float32)
