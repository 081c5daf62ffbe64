"""The tiny models of `models.sizes` as stages with random weights, for tests of how stages run."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.config import DenseUNetConfig, SparseUNetConfig
from models.dense import DenseUNet
from models.shape import Voxels
from models.sizes import TINY
from models.sparse import SparseUNet
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.text import TextEmbedding
from models.vae import Decoder

TEXT_WIDTH = TINY["coarse"].unet.context_dim


def text(seed: int, tokens: int = 4) -> TextEmbedding:
    """A random prompt."""
    return TextEmbedding(torch.randn(tokens, TEXT_WIDTH, generator=torch.Generator().manual_seed(seed)))


def coarse_stage() -> CoarseStage:
    """4^3 latents -> 16^3 voxels."""
    torch.manual_seed(0)
    config = TINY["coarse"]
    assert isinstance(config.unet, DenseUNetConfig)
    return CoarseStage(config, DenseUNet(config.unet), Decoder(config.vae), 1.3, text(99, 2))


def fine_stage() -> FineStage:
    """Latents on 16^3 voxels -> 32^3 voxels."""
    torch.manual_seed(1)
    config = TINY["fine"]
    assert isinstance(config.unet, SparseUNetConfig)
    return FineStage(config, SparseUNet(config.unet), Decoder(config.vae), 0.8)


def mixed_states() -> list[DiffusionState]:
    """Samples of the coarse stage that differ in everything."""
    stage = coarse_stage()
    return [
        stage.start(text(0), seed=1, steps=7),
        stage.start(text(1, 6), seed=-5, steps=3, guidance_scale=1.0),
        stage.start(text(2), seed=2**64 - 1, steps=20, guidance_scale=3.0, scheduler="dpm++"),
    ]


def shape() -> Voxels:
    """A coarse shape, for the fine stage to refine."""
    stage = coarse_stage()
    return stage.decode(stage.denoise([stage.start(text(0), seed=1, steps=4)], 4))[0]


def blocks() -> Iterator[Voxels]:
    """Shapes without meaning of 512, 1024, 2048 and 4096 voxels, for the fine stage to refine."""
    for size in (512, 1024, 2048, 4096):
        rows = torch.arange(size)[:, None]
        ijk = rows // torch.tensor([256, 16, 1]) % 16 - 8
        yield Voxels(ijk.short().numpy(), torch.tensor([0.0, 0.0, 1.0]).repeat(size, 1).numpy(), 1 / 16)
