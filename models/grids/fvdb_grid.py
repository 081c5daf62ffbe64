"""The fvdb backend: sparse voxel grids on NVIDIA's fVDB (package fvdb-core 0.5 or 0.6, imported as `fvdb`).

The library orders voxels by the leaves of its tree; a grid here speaks the ascending (sample, i, j, k) order of
`models.grids.Grid` to the outside, so features are put into the library's order on their way in and back on their
way out. A convolution plan is built once a grid and serves every layer and every denoising step.
"""

from __future__ import annotations

import importlib
from functools import cached_property, lru_cache
from typing import Any, Self

import torch
from torch import Tensor

from models.errors import BackendError
from models.grids.ordering import find_rows, sort_voxels, voxel_keys
from models.grids.torch_grid import TorchGrid


@lru_cache(maxsize=1)
def library() -> Any:
    """The module `fvdb`.

    Raises:
        BackendError: It is not there, does not load, or is something else of that name.
    """
    try:
        module: Any = importlib.import_module("fvdb")
    except (ImportError, OSError) as error:
        raise BackendError(
            f"fvdb cannot be imported ({error}): install the package fvdb-core, built for this version of torch"
        ) from error
    if not all(hasattr(module, name) for name in ("GridBatch", "JaggedTensor", "ConvolutionPlan")):
        raise BackendError(
            "the installed package fvdb is not the 3-D library but another project: uninstall fvdb, install fvdb-core"
        )
    return module


class FvdbGrid:
    """`models.grids.Grid` on a `fvdb.GridBatch`. Make one with `from_ijk` or `dense`."""

    real: Tensor | None = None
    samples: None = None
    layout: None = None

    def __init__(self, grid: Any) -> None:
        self.grid = grid
        self.counts: tuple[int, ...] = tuple(grid.joffsets.diff().tolist())

    @classmethod
    def from_ijk(cls, ijk: Tensor, batch: Tensor | None = None, batch_size: int | None = None) -> Self:
        """See `Grid.from_ijk`."""
        checked = TorchGrid.from_ijk(ijk, batch, batch_size)
        return cls(library().GridBatch.from_ijk(library().JaggedTensor(list(checked.ijk.split(checked.counts)))))

    @classmethod
    def dense(cls, resolution: int, batch_size: int = 1, device: torch.device | str = "cpu") -> Self:
        """See `Grid.dense`."""
        full = TorchGrid.dense(resolution, batch_size, device)
        return cls.from_ijk(full.ijk, full.batch, batch_size)

    def __len__(self) -> int:
        return sum(self.counts)

    @cached_property
    def batch(self) -> Tensor:
        """See `UNetGrid.batch`."""
        sizes = torch.tensor(self.counts, device=self.grid.ijk.jdata.device)
        return torch.arange(len(self.counts), device=sizes.device).repeat_interleave(sizes)

    @cached_property
    def ijk(self) -> Tensor:
        """See `UNetGrid.ijk`."""
        return self._from_library(self.grid.ijk).int()

    @cached_property
    def _order(self) -> Tensor:
        """The library's row of each row of ours, int64 [N]. Both keep samples one after the other."""
        return sort_voxels(self.grid.ijk.jdata, self.batch)

    @cached_property
    def _rank(self) -> Tensor:
        """Our row of each row of the library's, int64 [N]."""
        return torch.empty_like(self._order).scatter_(0, self._order, torch.arange(len(self), device=self.batch.device))

    @cached_property
    def _keys(self) -> Tensor:
        return voxel_keys(self.ijk, self.batch)

    @cached_property
    def _plan(self) -> Any:
        """3x3x3 with the grid itself as target: without one the result would grow by a voxel on every side."""
        return library().ConvolutionPlan.from_grid_batch(3, 1, self.grid, self.grid)

    def _to_library(self, rows: Tensor) -> Any:
        return self.grid.jagged_like(rows.index_select(0, self._rank))

    def _from_library(self, rows: Any) -> Tensor:
        data: Tensor = rows.jdata
        return data.index_select(0, self._order)

    def rows_of(self, ijk: Tensor, batch: Tensor) -> Tensor:
        """See `Grid.rows_of`."""
        return find_rows(self._keys, voxel_keys(ijk, batch))

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `UNetGrid.conv3`."""
        if not len(self):
            return features.new_zeros(0, weight.shape[0])
        # The library rounds the sum to the format of the features after every tap: in half precision 27 times.
        wide = torch.promote_types(features.dtype, torch.float32)
        rows = self._to_library(features.to(wide))
        output = self._from_library(self._plan.execute(rows, weight.to(wide).contiguous()))
        return (output if bias is None else output + bias).to(features.dtype)

    @cached_property
    def _coarse(self) -> Self:
        return type(self)(self.grid.coarsened_grid(2))

    def coarse(self) -> Self:
        """See `UNetGrid.coarse`."""
        return self._coarse if len(self) else self

    def average_pool(self, features: Tensor) -> Tensor:
        """See `UNetGrid.average_pool`."""
        if not len(self):
            return features
        pooled, _ = self.grid.avg_pool(2, self._to_library(features), coarse_grid=self._coarse.grid)
        return self._coarse._from_library(pooled)

    def upsample(self, features: Tensor) -> Tensor:
        """See `UNetGrid.upsample`."""
        return features.index_select(0, self.coarse().rows_of(self.ijk >> 1, self.batch))

    def prepare(self, levels: int) -> None:
        """See `Grid.prepare`."""
        if len(self):
            _ = self.ijk, self._rank, self._keys, self._plan
            if levels > 1:
                self.coarse().prepare(levels - 1)

    def refine(self, keep: Tensor) -> tuple[Self, Tensor]:
        """See `Grid.refine`."""
        if not bool(keep.any()):
            return self.prune(keep), keep.nonzero()[:, 0]
        fine = type(self)(self.grid.refined_grid(2, mask=self._to_library(keep)))
        return fine, self.rows_of(fine.ijk >> 1, fine.batch)

    def prune(self, keep: Tensor) -> Self:
        """See `Grid.prune`."""
        return type(self)(self.grid.pruned_grid(self._to_library(keep)))
