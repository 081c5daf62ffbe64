"""What the models ask of a sparse voxel grid, whatever library stands behind it."""

from __future__ import annotations

from typing import Protocol, Self

import torch
from torch import Tensor

from models.grids.samples import Samples


class Layout(Protocol):
    """Rows [N, C] of samples as one block [B, L, C], with zeros where a sample has fewer rows."""

    @property
    def mask(self) -> Tensor | None:
        """bool [B, 1, 1, L], True where a row is real; None if all are."""

    def cube(self, x: Tensor) -> Tensor:
        """[N, C] -> [B, L, C]."""

    def rows(self, x: Tensor) -> Tensor:
        """[B, L, C] -> [N, C], the inverse of `cube`."""


class UNetGrid(Protocol):
    """A batch of sparse voxel grids, as far as a denoiser needs it.

    Rows run in ascending (sample, i, j, k) order, so every feature tensor [N, C] on a grid has one meaning on every
    backend. What is derived from a grid (neighbour tables, plans, the coarser grid) is made at first use and kept.
    """

    @property
    def ijk(self) -> Tensor:
        """Voxel indices, int32 [N, 3]."""

    @property
    def batch(self) -> Tensor:
        """The sample of each row, int64 [N]."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Voxels of each sample; the length is the batch size."""

    @property
    def real(self) -> Tensor | None:
        """int32 [samples], the rows of each that count, where the others are only room; None where all do."""

    @property
    def samples(self) -> Samples | None:
        """Tables for norms with gradients; None where a grid is not for gradients."""

    @property
    def layout(self) -> Layout | None:
        """How attention lays the rows out; None where `counts` tell it."""

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """3x3x3 convolution whose output voxels are the input voxels; absent neighbours count as zero.

        Args:
            features: [N, Cin].
            weight: [Cout, Cin, 3, 3, 3], taps along x, y, z.
            bias: [Cout].

        Returns:
            [N, Cout].
        """

    def coarse(self) -> Self:
        """The grid of parents, floor(ijk / 2)."""

    def average_pool(self, features: Tensor) -> Tensor:
        """[N, C] -> [M, C] on `coarse()`: the sum over the children present, divided by 8."""

    def upsample(self, features: Tensor) -> Tensor:
        """[M, C] on `coarse()` -> [N, C]: every voxel takes its parent's value."""


class Grid(UNetGrid, Protocol):
    """A batch of sparse voxel grids. Samples may have any number of voxels, none included. A grid never changes."""

    @classmethod
    def from_ijk(cls, ijk: Tensor, batch: Tensor | None = None, batch_size: int | None = None) -> Self:
        """A grid of the given voxels.

        Args:
            ijk: Integer [N, 3] in ascending (batch, i, j, k) order without duplicates; `sort_voxels` gives the order.
            batch: The sample of each voxel, [N]; None for a single sample.
            batch_size: Samples in all, where the last of them have no voxel.

        Raises:
            ValueError: Voxels are out of order, repeated, or out of the 16-bit range.
        """

    @classmethod
    def dense(cls, resolution: int, batch_size: int = 1, device: torch.device | str = "cpu") -> Self:
        """Full cubes of `resolution` voxels a side with indices -resolution/2 … resolution/2 - 1."""

    def __len__(self) -> int:
        """N, the voxels of all samples."""

    def prepare(self, levels: int) -> None:
        """Makes now what a denoiser of so many levels derives from the grid, so that threads can share it."""

    def refine(self, keep: Tensor) -> tuple[Self, Tensor]:
        """Splits the voxels where `keep` (bool [N]) holds into 8: the finer grid and each child's parent row [8K]."""

    def prune(self, keep: Tensor) -> Self:
        """The voxels where `keep` (bool [N]) holds; features follow by `features[keep]`."""

    def rows_of(self, ijk: Tensor, batch: Tensor) -> Tensor:
        """The row of each asked voxel, int64 [Q]; N where the grid does not have it."""
