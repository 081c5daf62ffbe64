"""Configurations by name: the official Objaverse models, and the same architecture at the smallest useful size."""

from __future__ import annotations

from models.config import DenseUNetConfig, SparseUNetConfig, Stage, StageConfig, TextConfig, VAEConfig
from models.text import VIT_H_14

OFFICIAL: dict[Stage, StageConfig] = {
    "coarse": StageConfig(
        "coarse",
        DenseUNetConfig(8, 8, 16, 256, (1, 2, 4, 4), 2, (1, 2, 4, 8), 8, 1024),
        VAEConfig(4, 128, 8, latent_resolution=16, dense_latent=True),
        voxel_size=1 / 128,
    ),
    "fine": StageConfig(
        "fine",
        SparseUNetConfig(14, 8, 64, (1, 2, 2, 4), 2, (4, 8), 8, 1024),
        VAEConfig(3, 64, 8, latent_resolution=128, dense_latent=False),
        voxel_size=1 / 512,
    ),
}
TINY: dict[Stage, StageConfig] = {
    "coarse": StageConfig(
        "coarse",
        DenseUNetConfig(8, 8, 4, 32, (1, 2), 1, (1, 2), 4, 64),
        VAEConfig(3, 8, 8, latent_resolution=4, dense_latent=True),
        voxel_size=1 / 16,
    ),
    "fine": StageConfig(
        "fine",
        SparseUNetConfig(14, 8, 32, (1, 2), 1, (2,), 4, 64),
        VAEConfig(2, 8, 8, latent_resolution=16, dense_latent=False),
        voxel_size=1 / 32,
    ),
}
SIZES = {"official": OFFICIAL, "tiny": TINY}
TEXT_SIZES = {"official": VIT_H_14, "tiny": TextConfig(width=64, heads=4, layers=3)}
