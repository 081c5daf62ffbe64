"""Layers on sparse voxel grids: convolution and per-sample group normalisation."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import kernels
from models.grids import UNetGrid
from models.grids.samples import BLOCK, Samples
from models.normalising import normalise, over_groups


class SparseConv3(nn.Module):
    """3x3x3 convolution on the voxels of a grid; weight [Cout, Cin, 3, 3, 3] with taps along x, y, z."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(27 * in_channels)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3, 3).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None

    def pack(self) -> None:
        """Puts the weight into the memory order of the matrix [27 * Cin, Cout]; its shape and values stay.

        The convolution is a product with that matrix, so every call is spared a copy.
        """
        with torch.no_grad():
            self.weight.data = self.weight.permute(2, 3, 4, 1, 0).contiguous().permute(4, 3, 0, 1, 2)

    def forward(self, x: Tensor, grid: UNetGrid) -> Tensor:
        """[N, Cin] -> [N, Cout]."""
        return grid.conv3(x, self.weight, self.bias)


class SparseGroupNorm(nn.Module):
    """Group normalisation whose statistics run over all voxels of one sample and the channels of a group.

    Unlike `torch.nn.functional.group_norm` it accepts a sample of one voxel, and samples without any. Statistics are
    float32 whatever the precision of the features.
    """

    def __init__(self, groups: int, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, grid: UNetGrid, modulation: Tensor | None = None, silu: bool = False) -> Tensor:
        """[N, C] -> [N, C], then, where asked for, modulation by the timestep and SiLU.

        modulation: [B, 2 * C], scale then shift: y * (1 + scale) + shift.
        """
        alone_or_even = len(grid.counts) == 1 or grid.real is not None
        if alone_or_even and 0 < x.numel() < 2**31 and kernels.usable("normalisation", x):
            from models.kernels.normalisation import group_norm

            cube = x.view(len(grid.counts), -1, x.shape[1])
            out = group_norm(cube, self.groups, self.weight, self.bias, self.eps, modulation, silu, grid.real)
            return out.flatten(0, 1)
        with torch.autocast(x.device.type, enabled=False):
            if grid.samples is not None:
                return normalise(x, grid.samples, self.groups, self.eps, silu, self.weight, self.bias, modulation)
            rows = x.float()
            y = rows - self._mean(rows, grid)
            y = _affine(y, torch.rsqrt(self._mean(y.square(), grid) + self.eps) * self.weight, self.bias)
            if modulation is not None:
                scale, shift = spread(modulation.float(), grid).chunk(2, dim=1)
                y = _affine(y, 1 + scale, shift)
            return (functional.silu(y, inplace=not torch.is_grad_enabled()) if silu else y).to(x.dtype)

    def _mean(self, rows: Tensor, grid: UNetGrid) -> Tensor:
        """Mean over each sample and group: [N, C] -> [N, C], or [1, C] where there is one sample."""
        if len(grid.counts) == 1:
            means = rows.mean(dim=0, keepdim=True) if len(rows) else rows.new_zeros(1, rows.shape[1])
        else:
            samples = _samples(grid, rows.device)
            means = samples.sums(rows) / samples.sizes
        return spread(over_groups(means, self.groups), grid)


def _affine(y: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """y * scale + shift, in place where no gradient is wanted: a million voxels of 128 channels are half a gigabyte."""
    return y * scale + shift if torch.is_grad_enabled() else y.mul_(scale).add_(shift)


def spread(values: Tensor, grid: UNetGrid) -> Tensor:
    """One row a sample [B, C] -> one row a voxel [N, C]; left as [1, C], which broadcasts, for a single sample."""
    if len(grid.counts) == 1:
        return values
    return values.index_select(0, grid.batch)


def _samples(grid: UNetGrid, device: torch.device) -> Samples:
    sizes = torch.tensor(grid.counts, device=device, dtype=torch.float32).clamp_(min=1)[:, None]
    return Samples(grid.batch, *_blocks(grid.counts, device), sizes)


@lru_cache(maxsize=64)
def _blocks(counts: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of each block [blocks, 256], N for none; and which blocks are a sample's, as 0 and 1 [B, blocks]."""
    sizes = torch.tensor(counts)
    blocks = (sizes + BLOCK - 1) // BLOCK
    owner = torch.arange(len(counts)).repeat_interleave(blocks)
    ends = sizes.cumsum(0)
    first = torch.arange(len(owner)) - (blocks.cumsum(0) - blocks)[owner]
    starts = ((ends - sizes)[owner] + BLOCK * first).to(device)
    table = starts[:, None] + torch.arange(BLOCK, device=device)
    table = torch.where(table < ends[owner].to(device)[:, None], table, int(sizes.sum()))
    members = (owner == torch.arange(len(counts))[:, None]).float().to(device)
    return table, members
