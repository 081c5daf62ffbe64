"""The coarse denoiser: a dense 3-D U-Net with text cross-attention.

Architecture of XCube's Objaverse coarse model (Ren et al., CVPR 2024, after the U-Net of Dhariwal & Nichol, 2021, and
the spatial transformer of Rombach et al., 2022), written from its published description.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.config import DenseUNetConfig
from models.layers import SpatialTransformer, TextContext, TimestepEmbedding

GROUPS = 32


class ResBlock(nn.Module):
    """Residual block with scale-and-shift timestep modulation; may halve or double the resolution on its way."""

    def __init__(self, channels: int, out_channels: int, embedding_dim: int, resample: str = "none") -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv3d(channels, out_channels, 3, padding=1)
        self.modulation = nn.Linear(embedding_dim, 2 * out_channels)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if channels == out_channels else nn.Conv3d(channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x [B, C, X, Y, Z], activated embedding [B, E] -> [B, C', X', Y', Z']."""
        h = self._resample(functional.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None, None].chunk(2, dim=1)
        h = functional.silu(self.norm2(self.conv1(h)) * (1 + scale) + shift)
        return self.skip(self._resample(x)) + self.conv2(h)  # type: ignore[no-any-return]

    def _resample(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return functional.avg_pool3d(x, 2)
        if self.resample == "up":
            return functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return x


class DenseTransformer(SpatialTransformer):
    """Spatial transformer over all voxels of a cube."""

    def __init__(self, channels: int, heads: int, context_dim: int) -> None:
        super().__init__(channels, heads, channels // heads, context_dim, self_attention=True)
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)

    def forward(self, x: Tensor, context: TextContext) -> Tensor:
        """x [B, C, X, Y, Z] -> the same shape."""
        batch, channels, *cube = x.shape
        rows = self.norm(x).flatten(2).transpose(1, 2).reshape(-1, channels)
        rows = self.transform(rows, (rows.shape[0] // batch,) * batch, context)
        residual: Tensor = rows.view(batch, -1, channels).transpose(1, 2).unflatten(2, cube)
        return residual + x


class DenseUNet(nn.Module):
    """Predicts v for noisy latents on a full cube."""

    def __init__(self, config: DenseUNetConfig) -> None:
        super().__init__()
        self.config = config
        base, heads, context_dim = config.model_channels, config.num_heads, config.context_dim
        embedding_dim = 4 * base
        self.time_embedding = TimestepEmbedding(base)

        def stage(channels: int, out_channels: int, factor: int) -> list[nn.Module]:
            layers: list[nn.Module] = [ResBlock(channels, out_channels, embedding_dim)]
            if factor in config.attention_resolutions:
                layers.append(DenseTransformer(out_channels, heads, context_dim))
            return layers

        blocks: list[list[nn.Module]] = [[nn.Conv3d(config.in_channels, base, 3, padding=1)]]
        channels, factor, skips = base, 1, [base]
        for level, multiplier in enumerate(config.channel_mult):
            for _ in range(config.num_res_blocks):
                blocks.append(stage(channels, multiplier * base, factor))
                channels = multiplier * base
                skips.append(channels)
            if level < len(config.channel_mult) - 1:
                blocks.append([ResBlock(channels, channels, embedding_dim, resample="down")])
                skips.append(channels)
                factor *= 2
        self.encoder = nn.ModuleList(nn.ModuleList(layers) for layers in blocks)

        self.middle = nn.ModuleList(
            [
                ResBlock(channels, channels, embedding_dim),
                DenseTransformer(channels, heads, context_dim),
                ResBlock(channels, channels, embedding_dim),
            ]
        )

        blocks = []
        for level, multiplier in reversed(list(enumerate(config.channel_mult))):
            for index in range(config.num_res_blocks + 1):
                layers = stage(channels + skips.pop(), multiplier * base, factor)
                channels = multiplier * base
                if level and index == config.num_res_blocks:
                    layers.append(ResBlock(channels, channels, embedding_dim, resample="up"))
                    factor //= 2
                blocks.append(layers)
        self.decoder = nn.ModuleList(nn.ModuleList(layers) for layers in blocks)
        self.out_norm = nn.GroupNorm(GROUPS, channels)
        self.out_conv = nn.Conv3d(channels, config.out_channels, 3, padding=1)

    def forward(self, x: Tensor, timesteps: Tensor, context: TextContext) -> Tensor:
        """x [B, C, X, Y, Z], timesteps [B], context of B texts -> v [B, C', X, Y, Z]."""
        embedding = functional.silu(self.time_embedding(timesteps))
        skips = []
        for layers in self.encoder:
            x = _run(layers, x, embedding, context)
            skips.append(x)
        x = _run(self.middle, x, embedding, context)
        for layers in self.decoder:
            x = _run(layers, torch.cat((x, skips.pop()), dim=1), embedding, context)
        return self.out_conv(functional.silu(self.out_norm(x)))  # type: ignore[no-any-return]


def _run(layers: nn.Module, x: Tensor, embedding: Tensor, context: TextContext) -> Tensor:
    for layer in layers.children():
        if isinstance(layer, ResBlock):
            x = layer(x, embedding)
        elif isinstance(layer, DenseTransformer):
            x = layer(x, context)
        else:
            x = layer(x)
    return x
