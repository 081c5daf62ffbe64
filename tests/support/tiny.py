"""Stages of the real architecture at the smallest size, with random weights, for tests of how they run."""

from __future__ import annotations

import torch

from models.config import DenseUNetConfig, SparseUNetConfig, StageConfig, VAEConfig
from models.dense import DenseUNet
from models.sparse import SparseUNet
from models.stages import CoarseStage, FineStage
from models.text import TextEmbedding
from models.vae import Decoder

TEXT_WIDTH = 16


def text(seed: int, tokens: int = 4) -> TextEmbedding:
    """A random prompt."""
    return TextEmbedding(torch.randn(tokens, TEXT_WIDTH, generator=torch.Generator().manual_seed(seed)))


def coarse_stage() -> CoarseStage:
    """4^3 latents -> 16^3 voxels."""
    torch.manual_seed(0)
    unet = DenseUNetConfig(8, 8, 4, 32, (1, 2), 1, (2,), 4, TEXT_WIDTH)
    vae = VAEConfig(num_blocks=3, f_maps=8, latent_channels=8, latent_resolution=4, dense_latent=True)
    config = StageConfig("coarse", unet, vae, 1 / 16)
    return CoarseStage(config, DenseUNet(unet), Decoder(vae), 1.3, text(99, 2))


def fine_stage() -> FineStage:
    """Latents on 16^3 voxels -> 32^3 voxels."""
    torch.manual_seed(1)
    unet = SparseUNetConfig(14, 8, 32, (1, 2), 1, (2,), 4, TEXT_WIDTH)
    vae = VAEConfig(num_blocks=2, f_maps=8, latent_channels=8, latent_resolution=16, dense_latent=False)
    return FineStage(StageConfig("fine", unet, vae, 1 / 32), SparseUNet(unet), Decoder(vae), 0.8)
