"""Layers on sparse voxel grids: convolution and per-sample group normalisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

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

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """[N, C] -> [N, C]."""
        with torch.autocast(x.device.type, enabled=False):
            grouped = x.float().view(x.shape[0], self.groups, -1)
            if len(grid.counts) == 1:
                variance, mean = torch.var_mean(grouped, dim=(0, 2), correction=0, keepdim=True)
            else:
                mean = _sample_mean(grouped.mean(dim=2), grid)[..., None]
                variance = _sample_mean((grouped - mean).square().mean(dim=2), grid)[..., None]
            normalised = ((grouped - mean) * torch.rsqrt(variance + self.eps)).view(x.shape)
            return (normalised * self.weight + self.bias).to(x.dtype)


def _sample_mean(x: Tensor, grid: Grid) -> Tensor:
    """[N, G] -> [N, G]: each row becomes the mean of its sample. A matrix product, so deterministic on a GPU too."""
    members = (grid.batch == torch.arange(len(grid.counts), device=x.device)[:, None]).float()
    sizes = torch.tensor(grid.counts, device=x.device, dtype=torch.float32).clamp_(min=1)[:, None]
    return ((members @ x) / sizes)[grid.batch]
