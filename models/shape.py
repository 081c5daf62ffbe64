"""What the models make: voxels with normals, as arrays. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save


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

    def to_bytes(self) -> bytes:
        """The voxels as a safetensors file in memory, without loss."""
        # safetensors writes memory as it lies, whatever an array's order.
        arrays = {"ijk": self.ijk, "normal": self.normal, "voxel_size": np.array([self.voxel_size])}
        return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`."""
        arrays = load(data)
        return cls(arrays["ijk"], arrays["normal"], float(arrays["voxel_size"][0]))


@dataclass(frozen=True)
class Shape:
    """What a prompt became.

    coarse: the coarse stage's voxels, of a 32³ grid with the demo models, of 128³ with the official ones. fine: the
    fine stage's, of 128³ or 512³, or None: none were asked for, there is no model for them, or it kept none. seed: the
    seed that was used; with it the same request gives the same shape again. warnings: sentences that a user should
    read, mostly none. prompt: what was asked for, "" where nobody says. models: names and versions
    of the models that made it, with spaces between, "" where nobody says. latent: the finished state of the
    coarse stage as bytes, with which the shape can be varied; empty where it is not known, as for a shape from a file.
    """

    coarse: Voxels
    fine: Voxels | None
    seed: int
    warnings: tuple[str, ...] = ()
    prompt: str = ""
    models: str = ""
    latent: bytes = field(default=b"", repr=False, compare=False)

    @property
    def finest(self) -> Voxels:
        """The fine voxels, or the coarse ones where there are no fine ones."""
        return self.fine or self.coarse
