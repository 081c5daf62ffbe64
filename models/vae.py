"""The structure-predicting VAE's decoder, the part that is served.

Architecture of XCube's VAE (Ren et al., CVPR 2024), written from its published description. The decoder prunes voxels
at every level by a two-class head, then predicts a normal for each voxel that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.config import VAEConfig
from models.grids import Grid
from models.sparse_layers import SparseConv3, SparseGroupNorm
from models.tracing import named

SHORTEST_NORMAL = 1e-8


class ConvBlock(nn.Module):
    """Group norm -> 3x3x3 convolution without bias -> ReLU."""

    def __init__(self, channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm = SparseGroupNorm(groups if channels >= groups else 1, channels)
        self.conv = SparseConv3(channels, out_channels, bias=False)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """[N, C] on the grid -> [N, C']."""
        return functional.relu(self.conv(self.norm(x, grid), grid), inplace=not torch.is_grad_enabled())


class DoubleConv(nn.Module):
    """Two conv blocks: channels -> middle -> out_channels."""

    def __init__(self, channels: int, middle: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.conv1 = ConvBlock(channels, middle, groups)
        self.conv2 = ConvBlock(middle, out_channels, groups)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """[N, C] on the grid -> [N, C']."""
        return self.conv2(self.conv1(x, grid), grid)  # type: ignore[no-any-return]


class Head(nn.Module):
    """A conv block and a linear layer per voxel."""

    def __init__(self, channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.conv = ConvBlock(channels, channels, groups)
        self.out = nn.Linear(channels, out_channels)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """[N, C] on the grid -> [N, C']."""
        return self.out(self.conv(x, grid))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Level:
    """One level of a decode: the grid, structure logits [N, 2] (index 0 = exists), and which voxels went on."""

    grid: Grid
    logits: Tensor
    keep: Tensor


@dataclass(frozen=True)
class Decoded:
    """The finest grid after pruning, raw (not normalised) normals [K, 3], and every level from coarse to fine."""

    grid: Grid
    normals: Tensor
    levels: list[Level]


class Decoder(nn.Module):
    """Latents on a grid -> voxels `2 ** (num_blocks - 1)` times finer, with normals.

    Attributes:
        stage: The stage that it decodes, as traces name it; "vae" until it belongs to one.
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.stage = "vae"
        groups, width = config.num_groups, config.width
        widths = [width >> level for level in range(config.num_blocks)]
        self.bottleneck = nn.ModuleList(
            [DoubleConv(config.latent_channels, width, width, groups), DoubleConv(width, width, width, groups)]
        )
        self.up = nn.ModuleList(DoubleConv(wide, narrow, narrow, groups) for wide, narrow in pairwise(widths))
        self.structure = nn.ModuleList(Head(channels, 2, groups) for channels in widths)
        self.normal = Head(widths[-1], 3, groups)

    def forward(self, latent: Tensor, grid: Grid, targets: Sequence[Grid] | None = None) -> Decoded:
        """latent [N, C] on `grid` -> Decoded.

        In training `targets` gives the true grid of every level, coarse to fine: voxels are then kept where they are
        in the target (teacher forcing), not where the logits say so.
        """
        x = latent
        with named(f"{self.stage}/decode/bottleneck"):
            for block in self.bottleneck:
                x = block(x, grid)
        levels: list[Level] = []
        for index, head in enumerate(self.structure):
            with named(f"{self.stage}/decode/level {index}"):
                if index:
                    grid, parents = grid.refine(levels[-1].keep)
                    x = self.up[index - 1](x[parents], grid)
                logits = head(x, grid).float()
                if targets is None:
                    keep = logits[:, 0] > logits[:, 1]
                else:
                    keep = targets[index].rows_of(grid.ijk, grid.batch) < targets[index].ijk.shape[0]
                levels.append(Level(grid, logits, keep))
        with named(f"{self.stage}/decode/normals"):
            final = grid.prune(levels[-1].keep)
            return Decoded(final, self.normal(x[levels[-1].keep], final).float(), levels)


def unit_normals(raw: Tensor) -> Tensor:
    """Normals [N, 3] scaled to unit length, float32; one shorter than 1e-8 has no direction and becomes +z."""
    wide = raw.double()
    x, y, z = wide.unbind(1)
    length = (x * x + y * y + z * z).sqrt()[:, None]
    up = torch.zeros_like(wide)
    up[:, 2] = 1
    return torch.where(length < SHORTEST_NORMAL, up, wide / length.clamp(min=SHORTEST_NORMAL)).float()
