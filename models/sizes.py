"""Configurations by name: the official Objaverse models, and the same architecture at the smallest useful size."""

from __future__ import annotations

from models.config import DenseUNetConfig, SparseUNetConfig, Stage, StageConfig, TextConfig, VAEConfig
from models.text import VIT_H_14

OFFICIAL: dict[Stage, StageConfig] = {
    "coarse": StageConfig(
        stage="coarse",
        unet=DenseUNetConfig(
            in_channels=8, out_channels=8, image_size=16, model_channels=256, channel_mult=(1, 2, 4, 4),
            num_res_blocks=2, attention_resolutions=(1, 2, 4, 8), num_heads=8, context_dim=1024,
        ),
        vae=VAEConfig(num_blocks=4, f_maps=128, latent_channels=8, latent_resolution=16, dense_latent=True),
        voxel_size=1 / 128,
    ),
    "fine": StageConfig(
        stage="fine",
        unet=SparseUNetConfig(
            in_channels=14, out_channels=8, model_channels=64, channel_mult=(1, 2, 2, 4),
            num_res_blocks=2, attention_resolutions=(4, 8), num_heads=8, context_dim=1024,
        ),
        vae=VAEConfig(num_blocks=3, f_maps=64, latent_channels=8, latent_resolution=128, dense_latent=False),
        voxel_size=1 / 512,
    ),
}  # fmt: skip
TINY: dict[Stage, StageConfig] = {
    "coarse": StageConfig(
        stage="coarse",
        unet=DenseUNetConfig(
            in_channels=8, out_channels=8, image_size=4, model_channels=32, channel_mult=(1, 2),
            num_res_blocks=1, attention_resolutions=(1, 2), num_heads=4, context_dim=64,
        ),
        vae=VAEConfig(num_blocks=3, f_maps=8, latent_channels=8, latent_resolution=4, dense_latent=True),
        voxel_size=1 / 16,
    ),
    "fine": StageConfig(
        stage="fine",
        unet=SparseUNetConfig(
            in_channels=14, out_channels=8, model_channels=32, channel_mult=(1, 2),
            num_res_blocks=1, attention_resolutions=(2,), num_heads=4, context_dim=64,
        ),
        vae=VAEConfig(num_blocks=2, f_maps=8, latent_channels=8, latent_resolution=16, dense_latent=False),
        voxel_size=1 / 32,
    ),
}  # fmt: skip
SIZES = {"official": OFFICIAL, "tiny": TINY}
TEXT_SIZES = {"official": VIT_H_14, "tiny": TextConfig(width=64, heads=4, layers=3)}
