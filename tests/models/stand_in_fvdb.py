"""A stand-in for the library fvdb, for machines where it cannot be installed: as much as the adapter calls, on lists.

It keeps what its documentation and measurements on the real library say: voxels in the order of tree leaves (8^3
blocks) and not of indices, averages over eight cells, coarsening by floor, a convolution that wants its target grid.
That the adapter fits the real library is for the same tests where that imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from models.voxels import TorchGrid, sort_voxels


class JaggedTensor:
    """Tensors of different lengths behind one another."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = list(parts)

    @property
    def jdata(self) -> Tensor:
        return torch.cat(self.parts)


class GridBatch:
    """Voxels of each sample, leaf by leaf."""

    def __init__(self, voxels: Sequence[Tensor]) -> None:
        self.voxels = [_by_leaves(torch.unique(ijk, dim=0)) if len(ijk) else ijk for ijk in voxels]

    @classmethod
    def from_ijk(cls, ijk: JaggedTensor) -> GridBatch:
        assert all(part.dtype is torch.int32 for part in ijk.parts)
        return cls(ijk.parts)

    @property
    def ijk(self) -> JaggedTensor:
        return JaggedTensor(self.voxels)

    @property
    def joffsets(self) -> Tensor:
        return torch.tensor([0, *(len(ijk) for ijk in self.voxels)]).cumsum(0)

    def jagged_like(self, data: Tensor) -> JaggedTensor:
        return JaggedTensor(data.split([len(ijk) for ijk in self.voxels]))

    def coarsened_grid(self, factor: int) -> GridBatch:
        assert len(self.ijk.jdata), "the library refuses grids without voxels here"
        return GridBatch([ijk.div(factor, rounding_mode="floor").int() for ijk in self.voxels])

    def avg_pool(self, factor: int, data: JaggedTensor, coarse_grid: GridBatch) -> tuple[JaggedTensor, GridBatch]:
        pooled = []
        for fine, values, coarse in zip(self.voxels, data.parts, coarse_grid.voxels, strict=True):
            same = (fine[:, None].div(factor, rounding_mode="floor") == coarse[None]).all(dim=2)
            pooled.append(same.to(values.dtype).T @ values / factor**3)
        return JaggedTensor(pooled), coarse_grid

    def refined_grid(self, factor: int, mask: JaggedTensor) -> GridBatch:
        corner = torch.cartesian_prod(*(torch.arange(factor, dtype=torch.int32),) * 3)
        kept = [ijk[keep] for ijk, keep in zip(self.voxels, mask.parts, strict=True)]
        return GridBatch([(factor * ijk[:, None] + corner).view(-1, 3) for ijk in kept])

    def pruned_grid(self, mask: JaggedTensor) -> GridBatch:
        return GridBatch([ijk[keep] for ijk, keep in zip(self.voxels, mask.parts, strict=True)])


class ConvolutionPlan:
    """3x3x3 on the voxels of a grid."""

    made = 0

    def __init__(self, grid: GridBatch) -> None:
        self.grid = grid
        ConvolutionPlan.made += 1

    @classmethod
    def from_grid_batch(cls, kernel_size: int, stride: int, source: GridBatch, target: GridBatch) -> ConvolutionPlan:
        assert (kernel_size, stride) == (3, 1)
        assert target is source, "without a target the result would grow"
        return cls(source)

    def execute(self, data: JaggedTensor, weights: Tensor) -> JaggedTensor:
        results = []
        for ijk, values in zip(self.grid.voxels, data.parts, strict=True):
            order = sort_voxels(ijk)
            result = torch.empty(len(ijk), weights.shape[0], dtype=values.dtype)
            result[order] = TorchGrid.from_ijk(ijk[order]).conv3(values[order], weights)
            results.append(result)
        return JaggedTensor(results)


def _by_leaves(ijk: Tensor) -> Tensor:
    """Blocks of 8^3 in order, and voxels in order within a block."""
    ijk = ijk[sort_voxels(ijk)]
    leaf = torch.unique(ijk >> 3, dim=0, return_inverse=True)[1]
    return ijk[torch.argsort(leaf, stable=True)]


MODULE: Any = SimpleNamespace(GridBatch=GridBatch, JaggedTensor=JaggedTensor, ConvolutionPlan=ConvolutionPlan)
