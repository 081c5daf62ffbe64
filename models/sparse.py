"""The fine denoiser: a sparse 3-D U-Net with text cross-attention on the voxels of a coarse shape.

Architecture of XCube's Objaverse fine model (Ren et al., CVPR 2024), written from its published description.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.config import SparseUNetConfig
from models.grids import UNetGrid
from models.layers import Linear, Rows, SpatialTransformer, TextContext, Time, TimeConditioned
from models.sparse_layers import SparseConv3, SparseGroupNorm
from models.tracing import named, unet_names

GROUPS = 32


class SparseResBlock(nn.Module):
    """Residual block with scale-and-shift timestep modulation; may move to the coarser or finer grid on its way."""

    def __init__(self, channels: int, out_channels: int, embedding_dim: int, resample: str = "none") -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = SparseGroupNorm(GROUPS, channels)
        self.conv1 = SparseConv3(channels, out_channels)
        self.modulation = nn.Linear(embedding_dim, 2 * out_channels)
        self.norm2 = SparseGroupNorm(GROUPS, out_channels)
        self.conv2 = SparseConv3(out_channels, out_channels)
        self.skip = nn.Identity() if channels == out_channels else Linear(channels, out_channels)

    def forward(self, x: Tensor, grid: UNetGrid, target: UNetGrid, time: Time) -> Tensor:
        """x [N, C] on `grid`, timesteps of B samples -> [M, C'] on `target` (coarser, finer or the same)."""
        h = self.norm1(x, grid, silu=True)
        if self.resample == "down":
            h, x = grid.average_pool(h), grid.average_pool(x)
        elif self.resample == "up":
            h, x = target.upsample(h), target.upsample(x)
        h = self.norm2(self.conv1(h, target), target, time.modulation(self.modulation), silu=True)
        skip = self.skip(x, Rows(target.counts, target.real)) if isinstance(self.skip, Linear) else x
        return skip + self.conv2(h, target)  # type: ignore[no-any-return]


class SparseTransformer(SpatialTransformer):
    """Spatial transformer over the voxels of each sample."""

    def __init__(self, channels: int, heads: int, head_dim: int, context_dim: int, self_attention: bool) -> None:
        super().__init__(channels, heads, head_dim, context_dim, self_attention)
        self.norm = SparseGroupNorm(GROUPS, channels)

    def forward(self, x: Tensor, grid: UNetGrid, context: TextContext) -> Tensor:
        """x [N, C] -> the same shape."""
        return self.transform(self.norm(x, grid), x, Rows(grid.counts, grid.real, grid.layout), context)


class SparseUNet(TimeConditioned):
    """Predicts v for noisy latents on sparse voxels."""

    def __init__(self, config: SparseUNetConfig) -> None:
        super().__init__(config.model_channels)
        self.config = config
        base, heads = config.model_channels, config.num_heads
        embedding_dim = 4 * base

        def stage(channels: int, out_channels: int, factor: int, head_dim: int) -> list[nn.Module]:
            self_attention = factor in config.attention_resolutions
            return [
                SparseResBlock(channels, out_channels, embedding_dim),
                SparseTransformer(out_channels, heads, head_dim, config.context_dim, self_attention),
            ]

        blocks: list[list[nn.Module]] = [[SparseConv3(config.in_channels, base)]]
        channels, factor, skips = base, 1, [base]
        for level, multiplier in enumerate(config.channel_mult):
            for _ in range(config.num_res_blocks):
                blocks.append(stage(channels, multiplier * base, factor, multiplier * base // heads))
                channels = multiplier * base
                skips.append(channels)
            if level < len(config.channel_mult) - 1:
                blocks.append([SparseResBlock(channels, channels, embedding_dim, resample="down")])
                skips.append(channels)
                factor *= 2
        self.encoder = nn.ModuleList(nn.ModuleList(layers) for layers in blocks)

        # The official models keep the head size of the deepest encoder level in the middle and the whole decoder.
        head_dim = channels // heads
        self.middle = nn.ModuleList(
            [
                SparseResBlock(channels, channels, embedding_dim),
                SparseTransformer(channels, heads, head_dim, config.context_dim, self_attention=True),
                SparseResBlock(channels, channels, embedding_dim),
            ]
        )

        blocks = []
        for level, multiplier in reversed(list(enumerate(config.channel_mult))):
            for index in range(config.num_res_blocks + 1):
                layers = stage(skips.pop() + channels, multiplier * base, factor, head_dim)
                channels = multiplier * base
                if level and index == config.num_res_blocks:
                    layers.append(SparseResBlock(channels, channels, embedding_dim, resample="up"))
                    factor //= 2
                blocks.append(layers)
        self.decoder = nn.ModuleList(nn.ModuleList(layers) for layers in blocks)
        self.names = unet_names("fine", self.encoder, self.middle, self.decoder)
        self.out_norm = SparseGroupNorm(GROUPS, channels)
        self.out_conv = SparseConv3(channels, config.out_channels)

    def forward(self, x: Tensor, grid: UNetGrid, timesteps: Tensor, context: TextContext) -> Tensor:
        """x [N, C] on `grid`, timesteps [B], context of B texts -> v [N, C']."""
        x = x.to(self.out_conv.weight.dtype)
        time = self.time(timesteps, x.dtype)
        grids, skips = [grid], []
        for layers in self.encoder:
            x = self._run(layers, x, grids, time, context)
            skips.append(x)
        x = self._run(self.middle, x, grids, time, context)
        for layers in self.decoder:
            x = self._run(layers, torch.cat((skips.pop(), x), dim=1), grids, time, context)
        with named("fine/unet/out"):
            return self.out_conv(self.out_norm(x, grid, silu=True), grid)  # type: ignore[no-any-return]

    def _run(self, layers: nn.Module, x: Tensor, grids: list[UNetGrid], time: Time, context: TextContext) -> Tensor:
        """Runs the layers of a block; `grids` is the stack from the finest grid to the current one."""
        for layer in layers.children():
            with named(self.names[layer]):
                grid = grids[-1]
                if isinstance(layer, SparseResBlock):
                    if layer.resample == "down":
                        grids.append(grid.coarse())
                    elif layer.resample == "up":
                        grids.pop()
                    x = layer(x, grid, grids[-1], time)
                elif isinstance(layer, SparseTransformer):
                    x = layer(x, grid, context)
                else:
                    x = layer(x, grid)
        return x


def with_voxels(latents: Tensor, ijk: Tensor, normal: Tensor) -> Tensor:
    """The denoiser's input: latents [N, C], voxel indices [N, 3] and normals [N, 3] -> [N, C + 6]."""
    return torch.cat((latents, ijk.float(), normal), dim=1)
