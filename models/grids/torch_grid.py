"""The reference backend: sparse voxel grids in plain PyTorch, on any device.

A convolution is one gather into [N, 27 * Cin] and one matrix product, or on a CPU without gradients a product for each
tap (`models.grids.by_taps`). The neighbour table is built once a grid from sorted integer keys and serves every layer
and every denoising step.
"""

from __future__ import annotations

from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from models import kernels
from models.grids import by_taps
from models.grids.ordering import find_rows, keys_to_voxels, voxel_keys
from models.grids.samples import Samples
from models.grids.unwaiting import TAPS, neighbour_taps
from models.threads import block_size, share

GATHER_BYTES = 2 << 30
"""The largest gathered block [rows, 27 * Cin] a convolution makes at once: larger grids are taken in chunks."""


class TorchGrid:
    """`models.grids.Grid` in PyTorch. Make one with `from_ijk` or `dense`."""

    real: Tensor | None = None
    layout: None = None

    @property
    def samples(self) -> Samples | None:
        """See `UNetGrid.samples`."""
        return None

    def __init__(self, keys: Tensor, counts: tuple[int, ...]) -> None:
        self.keys = keys
        self.counts = counts

    @classmethod
    def from_ijk(cls, ijk: Tensor, batch: Tensor | None = None, batch_size: int | None = None) -> Self:
        """See `Grid.from_ijk`."""
        if batch is None:
            counts: tuple[int, ...] = (ijk.shape[0],)
        else:
            counts = tuple(torch.bincount(batch.long(), minlength=batch_size or 0).tolist())
        keys = voxel_keys(ijk, batch)
        if ijk.numel() and int(ijk.abs().max()) > 32766:
            raise ValueError("voxel indices must lie within -32766 … 32766")
        if bool((keys[1:] <= keys[:-1]).any()):
            raise ValueError("voxels must be in ascending (batch, i, j, k) order without duplicates; use sort_voxels")
        return cls(keys, counts)

    @classmethod
    def from_keys(cls, keys: Tensor, batch_size: int) -> Self:
        """A grid of ascending unique keys (`models.grids.ordering.voxel_keys`)."""
        return cls(keys, tuple(torch.bincount(keys_to_voxels(keys)[1], minlength=batch_size).tolist()))

    @classmethod
    def dense(cls, resolution: int, batch_size: int = 1, device: torch.device | str = "cpu") -> Self:
        """See `Grid.dense`."""
        axis = torch.arange(resolution, device=device) - resolution // 2
        ijk = torch.cartesian_prod(axis, axis, axis)
        batch = torch.arange(batch_size, device=device).repeat_interleave(ijk.shape[0])
        return cls(voxel_keys(ijk.repeat(batch_size, 1), batch), (ijk.shape[0],) * batch_size)

    def __len__(self) -> int:
        return self.keys.shape[0]

    @cached_property
    def _voxels(self) -> tuple[Tensor, Tensor]:
        return keys_to_voxels(self.keys)

    @property
    def ijk(self) -> Tensor:
        """See `UNetGrid.ijk`."""
        return self._voxels[0]

    @property
    def batch(self) -> Tensor:
        """See `UNetGrid.batch`."""
        return self._voxels[1]

    def rows_of(self, ijk: Tensor, batch: Tensor) -> Tensor:
        """See `Grid.rows_of`."""
        return find_rows(self.keys, voxel_keys(ijk, batch))

    @cached_property
    def neighbours(self) -> Tensor:
        """Rows of the 27 neighbours, int64 [N, 27], taps along x, y, z with z fastest; N where there is none."""
        return neighbour_taps(self.keys).T.long().contiguous()

    @cached_property
    def taps(self) -> Tensor:
        """The neighbour table by taps, int32 [27, N]."""
        return neighbour_taps(self.keys)

    @cached_property
    def _blocks(self) -> list[by_taps.Block]:
        return by_taps.blocks_of(neighbour_taps(self.keys))

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `UNetGrid.conv3`."""
        packed = weight.permute(2, 3, 4, 1, 0).reshape(-1, weight.shape[0])
        small = 0 < features.numel() < 2**31
        if small and features.dtype == weight.dtype and kernels.usable("convolution", features):
            from models.kernels.convolution import gather_gemm

            return gather_gemm(features, self.taps, packed.view(TAPS, features.shape[1], -1), bias)
        cpu = features.device.type == "cpu"
        if cpu and not torch.is_grad_enabled() and by_taps.worthwhile(features, weight):
            return by_taps.convolve(features, self._blocks, packed.view(TAPS, features.shape[1], -1), bias)
        padded = functional.pad(features, (0, 0, 0, 1))
        row_bytes = TAPS * features.shape[1] * features.element_size()
        chunk = block_size(len(self)) if cpu else max(1, GATHER_BYTES // row_bytes)

        def product(rows: Tensor, out: Tensor | None = None) -> Tensor:
            # index_select, because indexing by a tensor takes several times as long on a CPU
            gathered = padded.index_select(0, rows.reshape(-1)).view(rows.shape[0], packed.shape[0])
            return torch.mm(gathered, packed, out=out) if bias is None else torch.addmm(bias, gathered, packed, out=out)

        chunks = self.neighbours.split(chunk)
        if torch.is_grad_enabled():
            return torch.cat([product(rows) for rows in chunks])
        result = features.new_empty(len(self), packed.shape[1])
        pairs = list(zip(chunks, result.split(chunk), strict=True))
        if cpu:
            share(lambda pair: product(*pair), pairs)
        else:
            for pair in pairs:
                product(*pair)
        return result

    @cached_property
    def _coarse(self) -> tuple[Self, Tensor, Tensor]:
        ijk = self.ijk
        keys, parent = torch.unique(voxel_keys(ijk >> 1, self.batch), sorted=True, return_inverse=True)
        grid = self.from_keys(keys, len(self.counts))
        octant = ((ijk[:, 0] & 1) * 4 + (ijk[:, 1] & 1) * 2 + (ijk[:, 2] & 1)).long()
        children = torch.full((keys.shape[0], 8), len(self), dtype=torch.int64, device=keys.device)
        children[parent, octant] = torch.arange(len(self), device=keys.device)
        return grid, parent, children

    def coarse(self) -> Self:
        """See `UNetGrid.coarse`."""
        return self._coarse[0]

    @property
    def parents(self) -> Tensor:
        """The row of each voxel's parent on `coarse()`, int64 [N]."""
        return self._coarse[1]

    @property
    def children(self) -> Tensor:
        """The rows of the children of each voxel of `coarse()`, int64 [M, 8]; N where there is none."""
        return self._coarse[2]

    def average_pool(self, features: Tensor) -> Tensor:
        """See `UNetGrid.average_pool`."""
        children = self._coarse[2]
        if len(self.counts) == 1 and len(self) and kernels.usable("pooling", features):
            from models.kernels.pooling import average_children

            return average_children(features, children)
        padded = functional.pad(features, (0, 0, 0, 1))
        return padded.index_select(0, children.view(-1)).view(-1, 8, features.shape[1]).sum(dim=1) / 8

    def upsample(self, features: Tensor) -> Tensor:
        """See `UNetGrid.upsample`."""
        return features.index_select(0, self._coarse[1])

    def prepare(self, levels: int) -> None:
        """See `Grid.prepare`."""
        _ = self.ijk, self.taps
        if levels > 1:
            self.coarse().prepare(levels - 1)

    def refine(self, keep: Tensor) -> tuple[Self, Tensor]:
        """See `Grid.refine`."""
        parents = keep.nonzero()[:, 0]
        octants = torch.cartesian_prod(*(torch.arange(2, device=keep.device),) * 3)
        ijk = (2 * self.ijk[parents, None] + octants).reshape(-1, 3)
        keys = voxel_keys(ijk, self.batch[parents].repeat_interleave(8))
        keys, order = torch.sort(keys)
        counts = tuple(8 * count for count in self._kept_counts(keep))
        return type(self)(keys, counts), parents.repeat_interleave(8)[order]

    def prune(self, keep: Tensor) -> Self:
        """See `Grid.prune`."""
        return type(self)(self.keys[keep], self._kept_counts(keep))

    def _kept_counts(self, keep: Tensor) -> tuple[int, ...]:
        return tuple(torch.stack([part.sum() for part in keep.split(self.counts)]).tolist())
