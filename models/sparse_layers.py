"""Layers on sparse voxel grids: convolution and per-sample group normalisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import kernels
from models.voxels import Grid


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

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
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

    def forward(self, x: Tensor, grid: Grid, modulation: Tensor | None = None, silu: bool = False) -> Tensor:
        """[N, C] -> [N, C], then, where asked for, modulation by the timestep and SiLU.

        modulation: [B, 2 * C], scale then shift: y * (1 + scale) + shift.
        """
        if len(grid.counts) == 1 and len(x) and kernels.switches.normalisation and kernels.usable(x):
            from models.kernels.normalisation import group_norm

            return group_norm(x[None], self.groups, self.weight, self.bias, self.eps, modulation, silu)[0]
        with torch.autocast(x.device.type, enabled=False):
            rows = x.float()
            centred = rows - self._mean(rows, grid)
            y = centred * (torch.rsqrt(self._mean(centred.square(), grid) + self.eps) * self.weight) + self.bias
            if modulation is not None:
                scale, shift = spread(modulation.float(), grid).chunk(2, dim=1)
                y = y * (1 + scale) + shift
            return (functional.silu(y) if silu else y).to(x.dtype)

    def _mean(self, rows: Tensor, grid: Grid) -> Tensor:
        """Mean over each sample and group: [N, C] -> [N, C], or [1, C] where there is one sample."""
        if len(grid.counts) == 1:
            means = rows.mean(dim=0, keepdim=True) if len(rows) else rows.new_zeros(1, rows.shape[1])
        else:
            sizes = torch.tensor(grid.counts, device=rows.device, dtype=rows.dtype).clamp_(min=1)[:, None]
            means = (_members(grid, rows.dtype) @ rows) / sizes
        width = rows.shape[1] // self.groups
        means = means.view(-1, self.groups, width).mean(dim=2, keepdim=True).expand(-1, -1, width).flatten(1)
        return spread(means, grid)


def spread(values: Tensor, grid: Grid) -> Tensor:
    """One row a sample [B, C] -> one row a voxel [N, C]; left as [1, C], which broadcasts, for a single sample."""
    if len(grid.counts) == 1:
        return values
    with torch.autocast(values.device.type, enabled=False):
        return _members(grid, values.dtype).T @ values


def _members(grid: Grid, dtype: torch.dtype) -> Tensor:
    """[B, N]: 1 where a voxel belongs to a sample.

    Sums over samples, and their way back, are products with it: exact copies, deterministic on a GPU, and without the
    contention of atomic additions into a few rows.
    """
    return (grid.batch == torch.arange(len(grid.counts), device=grid.batch.device)[:, None]).to(dtype)
