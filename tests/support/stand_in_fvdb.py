"""A stand-in for the library fvdb, for machines where it cannot be installed: as much as the adapter calls, on lists.

It does what the real library was seen to do: voxels in the order of its tree and not of indices, averages over eight
cells, coarsening by floor, a convolution that wants its target grid and contiguous features and rounds its sum after
every tap, grids without voxels everywhere. Where the real library imports, test_voxels.py compares the two and runs
every test on it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.grids import TorchGrid, sort_voxels


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
        self.voxels = [_in_tree_order(torch.unique(ijk, dim=0)) if len(ijk) else ijk for ijk in voxels]

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
        return GridBatch([ijk.div(factor, rounding_mode="floor").int() for ijk in self.voxels])

    def avg_pool(self, factor: int, data: JaggedTensor, coarse_grid: GridBatch) -> tuple[JaggedTensor, GridBatch]:
        pooled = []
        for fine, values, coarse in zip(self.voxels, data.parts, coarse_grid.voxels, strict=True):
            same = (fine[:, None].div(factor, rounding_mode="floor") == coarse[None]).all(dim=2)
            pooled.append(same.to(values.dtype).T @ values / factor**3)
        return JaggedTensor(pooled), coarse_grid

    def refined_grid(self, factor: int, mask: JaggedTensor) -> GridBatch:
        assert mask.jdata.dtype is torch.bool
        corner = torch.cartesian_prod(*(torch.arange(factor, dtype=torch.int32),) * 3)
        kept = [ijk[keep] for ijk, keep in zip(self.voxels, mask.parts, strict=True)]
        return GridBatch([(factor * ijk[:, None] + corner).view(-1, 3) for ijk in kept])

    def pruned_grid(self, mask: JaggedTensor) -> GridBatch:
        assert mask.jdata.dtype is torch.bool
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
            assert values.is_contiguous()
            order = sort_voxels(ijk)
            padded = functional.pad(values[order], (0, 0, 0, 1))
            result = torch.zeros(len(ijk), weights.shape[0], dtype=values.dtype)
            neighbours = TorchGrid.from_ijk(ijk[order]).neighbours
            for rows, kernel in zip(neighbours.T, weights.flatten(2).unbind(2), strict=True):
                result[order] += padded[rows] @ kernel.T
            results.append(result)
        return JaggedTensor(results)


def _in_tree_order(ijk: Tensor) -> Tensor:
    """Tiles of 4096^3, in them blocks of 128^3, in those leaves of 8^3; ascending at every level."""
    for bits in (0, 3, 7, 12):
        ijk = ijk[sort_voxels(ijk >> bits)]
    return ijk


MODULE: Any = SimpleNamespace(GridBatch=GridBatch, JaggedTensor=JaggedTensor, ConvolutionPlan=ConvolutionPlan)
