"""The VAE's encoder, needed to train a pair and nothing else.

Architecture of XCube's VAE (Ren et al., CVPR 2024), written from its published description.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.config import VAEConfig
from models.grids import TorchGrid
from models.grids.ordering import voxel_keys
from models.vae import DoubleConv

OCTAVES = 5


class Encoder(nn.Module):
    """Voxels with normals -> mean and log-variance of latents, both >= 0 because they come out of a ReLU."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        groups, channels, latent = config.num_groups, config.in_channels, config.latent_channels
        widths = [config.f_maps << level for level in range(config.num_blocks)]
        self.mix = nn.Linear(3 + 6 * OCTAVES + 3, channels)
        self.pre = nn.Linear(channels, channels)
        self.down = nn.ModuleList(
            DoubleConv(narrow, max(wide // 2, narrow), wide, groups)
            for narrow, wide in zip([channels, *widths], widths, strict=False)
        )
        width = widths[-1]
        self.bottleneck = nn.ModuleList(
            [DoubleConv(width, width, width, groups), DoubleConv(width, 2 * latent, 2 * latent, groups)]
        )

    def forward(
        self, grid: TorchGrid, normals: Tensor, voxel_size: float, targets: list[TorchGrid] | None = None
    ) -> tuple[TorchGrid, Tensor, Tensor]:
        """Encodes a shape.

        grid: the finest grid; normals: [N, 3]; voxel_size in world units. targets: the grids of the coarser levels,
        fine to coarse, instead of the official ones (`hash_tree`). Returns the latent grid, mean [M, C] and
        log-variance [M, C].
        """
        points = (grid.ijk + 0.5) * voxel_size
        unit = normals / (normals.norm(dim=1, keepdim=True) + 1e-6)
        x = self.pre(self.mix(torch.cat((positional_encoding(points), unit), dim=1)))
        targets = targets if targets is not None else hash_tree(grid, self.config.num_blocks - 1)
        for index, block in enumerate(self.down):
            if index:
                x = max_pool_onto(x, grid, targets[index - 1])
                grid = targets[index - 1]
            x = block(x, grid)
        if self.config.dense_latent:
            cube = type(grid).dense(self.config.latent_resolution, len(grid.counts), grid.keys.device)
            rows = cube.rows_of(grid.ijk, grid.batch)
            inside = rows < len(cube)
            x = x.new_zeros(len(cube), x.shape[1]).index_copy(0, rows[inside], x[inside])
            grid = cube
        for block in self.bottleneck:
            x = block(x, grid)
        mean, log_variance = x.chunk(2, dim=1)
        return grid, mean, log_variance


def positional_encoding(points: Tensor) -> Tensor:
    """[N, 3] -> [N, 33]: the point, then sine and cosine of it at frequencies 1, 2, 4, 8, 16."""
    waves = [part for octave in range(OCTAVES) for part in ((points * 2**octave).sin(), (points * 2**octave).cos())]
    return torch.cat([points, *waves], dim=1)


def hash_tree(grid: TorchGrid, depth: int) -> list[TorchGrid]:
    """The official coarser levels, from depth 1 on: every voxel whose trilinear support holds a finest centre.

    At depth d these are floor(q) + {0, 1}^3 with q the finest centre in units of the coarser grid's own centres.
    """
    corners = torch.cartesian_prod(*(torch.arange(2, device=grid.keys.device),) * 3)
    levels = []
    for level in range(1, depth + 1):
        # q = (ijk + 1/2) / 2^level - 1/2, in integers: floor((2 ijk + 1 - 2^level) / 2^(level + 1))
        base = (2 * grid.ijk + 1 - 2**level) >> (level + 1)
        ijk = (base[:, None] + corners).reshape(-1, 3)
        keys = torch.unique(voxel_keys(ijk, grid.batch.repeat_interleave(8)))
        levels.append(type(grid).from_keys(keys, len(grid.counts)))
    return levels


def max_pool_onto(x: Tensor, grid: TorchGrid, target: TorchGrid) -> Tensor:
    """[N, C] on `grid` -> [M, C] on `target`: the maximum over the children present, 0 where there is none."""
    octants = torch.cartesian_prod(*(torch.arange(2, device=x.device),) * 3)
    children = (2 * target.ijk[:, None] + octants).reshape(-1, 3)
    rows = grid.rows_of(children, target.batch.repeat_interleave(8)).view(-1, 8)
    pooled: Tensor = _MaxOfChildren.apply(x, rows)  # type: ignore[no-untyped-call]
    return pooled


class _MaxOfChildren(torch.autograd.Function):
    """Rows [M, 8] of [N, C], N standing for none -> [M, C]. A row occurs at most once, so its gradient is one store."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        lowest = torch.finfo(x.dtype).min
        pooled, winner = torch.cat((x, x.new_full((1, x.shape[1]), lowest)))[rows].max(dim=1)
        ctx.save_for_backward(rows, winner)
        ctx.size = x.shape[0]
        return pooled.masked_fill((rows == x.shape[0]).all(dim=1, keepdim=True), 0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows, winner = ctx.saved_tensors
        result = gradient.new_zeros(ctx.size + 1, gradient.shape[1])
        for child in range(8):
            result[rows[:, child]] = torch.where(winner == child, gradient, 0)
        return result[:-1], None
