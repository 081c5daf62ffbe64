"""The coarse denoiser: a dense 3-D U-Net with text cross-attention.

Architecture of XCube's Objaverse coarse model (Ren et al., CVPR 2024, after the U-Net of Dhariwal & Nichol, 2021, and
the spatial transformer of Rombach et al., 2022), written from its published description.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from models.config import DenseUNetConfig
from models.dense_layers import DenseConv, DenseGroupNorm, double, halve, join, to_cube, to_rows
from models.layers import Rows, SpatialTransformer, TextContext, Time, TimeConditioned
from models.tracing import named, unet_names

GROUPS = 32


class ResBlock(nn.Module):
    """Residual block with scale-and-shift timestep modulation; may halve or double the resolution on its way."""

    def __init__(self, channels: int, out_channels: int, embedding_dim: int, resample: str = "none") -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = DenseGroupNorm(GROUPS, channels)
        self.conv1 = DenseConv(channels, out_channels, 3)
        self.modulation = nn.Linear(embedding_dim, 2 * out_channels)
        self.norm2 = DenseGroupNorm(GROUPS, out_channels)
        self.conv2 = DenseConv(out_channels, out_channels, 3)
        self.skip = nn.Identity() if channels == out_channels else DenseConv(channels, out_channels, 1)

    def forward(self, x: Tensor, time: Time) -> Tensor:
        """x [B, C, X, Y, Z], timesteps of B samples -> [B, C', X', Y', Z']."""
        h = self._resample(self.norm1(x, silu=True))
        h = self.norm2(self.conv1(h), time.modulation(self.modulation), silu=True)
        return self.skip(self._resample(x)) + self.conv2(h)  # type: ignore[no-any-return]

    def _resample(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return halve(x)
        if self.resample == "up":
            return double(x)
        return x


class DenseTransformer(SpatialTransformer):
    """Spatial transformer over all voxels of a cube."""

    def __init__(self, channels: int, heads: int, context_dim: int) -> None:
        super().__init__(channels, heads, channels // heads, context_dim, self_attention=True)
        self.norm = DenseGroupNorm(GROUPS, channels, eps=1e-6)

    def forward(self, x: Tensor, context: TextContext) -> Tensor:
        """x [B, C, X, Y, Z] -> the same shape."""
        rows = Rows((x[0, 0].numel(),) * len(x))
        return to_cube(self.transform(to_rows(self.norm(x)), to_rows(x), rows, context), x)


def cube_of(latents: Tensor, side: int) -> Tensor:
    """Latents as a cube: [B, V, C] -> [B, C, X, Y, Z]."""
    cube: Tensor = latents.transpose(1, 2).unflatten(2, (side,) * 3)
    return cube


def latents_of(cube: Tensor) -> Tensor:
    """The inverse of `cube_of`, in float32."""
    return cube.float().flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class Trunk:
    """What `DenseUNet` has computed where the text comes in: x, timesteps, skips of the blocks done."""

    x: Tensor
    time: Time
    skips: tuple[Tensor, ...]


class DenseUNet(TimeConditioned):
    """Predicts v for noisy latents on a full cube."""

    def __init__(self, config: DenseUNetConfig) -> None:
        super().__init__(config.model_channels)
        self.config = config
        base, heads, context_dim = config.model_channels, config.num_heads, config.context_dim
        embedding_dim = 4 * base

        def stage(channels: int, out_channels: int, factor: int) -> list[nn.Module]:
            layers: list[nn.Module] = [ResBlock(channels, out_channels, embedding_dim)]
            if factor in config.attention_resolutions:
                layers.append(DenseTransformer(out_channels, heads, context_dim))
            return layers

        blocks: list[list[nn.Module]] = [[DenseConv(config.in_channels, base, 3)]]
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
        self.names = unet_names("coarse", self.encoder, self.middle, self.decoder)
        self.out_norm = DenseGroupNorm(GROUPS, channels)
        self.out_conv = DenseConv(channels, config.out_channels, 3)

    def forward(self, x: Tensor, timesteps: Tensor, context: TextContext) -> Tensor:
        """x [B, C, X, Y, Z], timesteps [B], context of B texts -> v [B, C', X, Y, Z]."""
        return self.after_text(self.before_text(x, timesteps), context)

    def before_text(self, x: Tensor, timesteps: Tensor) -> Trunk:
        """What does not depend on the text, so that guidance computes it once for both of its texts."""
        x = x.to(self.out_conv.weight.dtype)
        time = self.time(timesteps, x.dtype)
        skips: list[Tensor] = []
        for block in self.encoder:
            before, rest = _split_at_text(block)
            x = self._run(before, x, time)
            if rest:
                break
            skips.append(x)
        return Trunk(x, time, tuple(skips))

    def after_text(self, trunk: Trunk, context: TextContext) -> Tensor:
        """The rest of `forward`; one trunk may serve several contexts."""
        x, time, skips = trunk.x, trunk.time, list(trunk.skips)
        for index, block in enumerate(list(self.encoder)[len(skips) :]):
            x = self._run(block.children() if index else _split_at_text(block)[1], x, time, context)
            skips.append(x)
        x = self._run(self.middle.children(), x, time, context)
        for block in self.decoder:
            x = self._run(block.children(), join(x, skips.pop()), time, context)
        with named("coarse/unet/out"):
            return self.out_conv(self.out_norm(x, silu=True))  # type: ignore[no-any-return]

    def _run(self, layers: Iterable[nn.Module], x: Tensor, time: Time, context: TextContext | None = None) -> Tensor:
        for layer in layers:
            with named(self.names[layer]):
                if isinstance(layer, ResBlock):
                    x = layer(x, time)
                elif isinstance(layer, DenseTransformer):
                    x = layer(x, context)
                else:
                    x = layer(x)
        return x


def _split_at_text(block: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """The layers of a block before its first transformer, and the others."""
    layers = list(block.children())
    split = next((index for index, layer in enumerate(layers) if isinstance(layer, DenseTransformer)), len(layers))
    return layers[:split], layers[split:]
