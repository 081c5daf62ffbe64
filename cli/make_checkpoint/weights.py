"""Random weights under the official names and in the official layout, for one stage."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn

from cli.make_checkpoint.archive import Later
from models.checkpoint.official import ema_key
from models.checkpoint.rename import DECODER, ENCODER, Table, unet_table
from models.config import DenseUNetConfig, StageConfig
from models.dense import DenseUNet
from models.layers import SpatialTransformer
from models.meta import without_memory
from models.sparse import SparseUNet
from models.vae import Decoder
from models.vae_encoder import Encoder

POOL = 1 << 25
SCALE_FACTOR, EMA_DECAY, EMA_UPDATES = 0.9, 0.9999, 100_000
SHARE_OF_SPREAD = 0.684
"""Mean over standard deviation of max(z, 0) for z ~ N(0, 1)."""


class Weights:
    """Draws tensors from one pool of normal numbers, each from a different place: gigabytes per second."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._pool = torch.randn(POOL, generator=self._generator)

    def draw(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Normal numbers of a standard deviation."""
        count = math.prod(shape)
        start = int(torch.randint(POOL, (), generator=self._generator))
        pieces = []
        while True:
            pieces.append(self._pool[start : start + count])
            count -= len(pieces[-1])
            if not count:
                break
            start = 0
        return (torch.cat(pieces) if len(pieces) > 1 else pieces[0]).mul(std).view(shape)


def state_dict(config: StageConfig, seed: int) -> dict[str, Later]:
    """The state of a stage's Lightning module: training weights, EMA apart from them, VAE and scale factor."""
    weights = Weights(seed)
    dense = isinstance(config.unet, DenseUNetConfig)
    with without_memory():
        unet: Any = DenseUNet(config.unet) if isinstance(config.unet, DenseUNetConfig) else SparseUNet(config.unet)
        encoder, decoder = Encoder(config.vae), Decoder(config.vae)
    state: dict[str, Later] = {}
    table = unet_table(sparse=not dense)
    for ours, value in unet.named_parameters():
        name, shape = _official(unet, ours, table), _stored_shape(ours, value, dense)
        state[f"unet.{name}"] = _random(weights, ours, shape)
        state[ema_key(name)] = _random(weights, ours, shape)
    state["unet_ema.decay"] = Later((), lambda: torch.tensor(EMA_DECAY))
    state["unet_ema.num_updates"] = Later((), lambda: torch.tensor(EMA_UPDATES), torch.int32)
    for module, names in ((encoder, ENCODER), (decoder, DECODER)):
        for ours, value in module.named_parameters():
            state[f"vae.{_official(module, ours, names)}"] = _random(weights, ours, tuple(value.shape))
    for level, share in enumerate(kept_shares(config)):
        for kind, later in _structure_head(weights, config.vae.width >> level, share).items():
            state[f"vae.unet.struct_convs.Struct-{level + 1}.OutConv.{kind}"] = later
    state["scale_factor"] = Later((), lambda: torch.tensor(SCALE_FACTOR))
    return state


def _official(module: nn.Module, ours: str, table: Table) -> str:
    """The official name of a parameter; a transformer and a ResBlock share some of ours."""
    names = table.official(ours)
    if len(names) > 1:
        owner = ours.rpartition(".")[0].rpartition(".")[0]
        transformer = isinstance(module.get_submodule(owner), SpatialTransformer)
        names = [name for name in names if ("transformer_blocks" in name) == transformer]
    return names[0]


def _stored_shape(ours: str, value: Tensor, dense: bool) -> tuple[int, ...]:
    """Dense 1x1x1 projections are matrices here and kernels there."""
    projection = dense and ours.endswith((".proj_in.weight", ".proj_out.weight")) and "feed_forward" not in ours
    return (*value.shape, 1, 1, 1) if projection else tuple(value.shape)


def _random(weights: Weights, ours: str, shape: tuple[int, ...]) -> Later:
    """Matrices and kernels that keep the size of what goes through them; norms near one, other vectors near zero."""
    if len(shape) > 1:
        return Later(shape, lambda: weights.draw(shape, 1 / math.sqrt(math.prod(shape[1:]))))
    centre = 1.0 if "norm" in ours and ours.endswith("weight") else 0.0
    return Later(shape, lambda: weights.draw(shape, 0.02) + centre)


def kept_shares(config: StageConfig) -> list[float]:
    """Which part of the voxels each level keeps: of 16^3 latents about 46,000 of 128^3, then half of the children."""
    levels = config.vae.num_blocks
    if config.stage == "coarse":
        return [0.022 ** (1 / levels)] * levels
    return [0.97] + [0.5] * (levels - 1)


def structure_weight(row: Tensor, share: float) -> Tensor:
    """The last matrix [2, C] of a structure head, made of random numbers [C]: "exists" wins with the chance `share`.

    Its input is the positive part of about symmetric values z, equally large in all channels: for a row w the sum of
    w * max(z, 0) has a mean of 0.684 * sum(w) / |w| standard deviations, which decides the chance.
    """
    lean = NormalDist().inv_cdf(share) / SHARE_OF_SPREAD
    row = (row - row.mean()) / (row - row.mean()).norm() + lean / len(row)
    return torch.stack((row, -row))


def _structure_head(weights: Weights, channels: int, share: float) -> dict[str, Later]:
    return {
        "weight": Later((2, channels), lambda: structure_weight(weights.draw((channels,), 1.0), share)),
        "bias": Later((2,), lambda: torch.zeros(2)),
    }
