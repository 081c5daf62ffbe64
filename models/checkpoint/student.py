"""A student of a stage as a model of its own: its denoiser in eight bits, and what it belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.checkpoint.source import Source
from models.config import StageConfig, StudentConfig
from models.loading import OF_LATENTS, name_of_latents
from models.quantisation import quantised


def student_of(stage: Source, denoiser: Mapping[str, Tensor]) -> tuple[StudentConfig, dict[str, Tensor]]:
    """Configuration and tensors, for `write_own`, of a student of a stage.

    Args:
        stage: The teacher, coarse or fine.
        denoiser: The student's weights by their names in the U-Net.
    """
    assert isinstance(stage.config, StageConfig)
    latents = name_of_latents({name: stage.tensor(name) for name in stage.keys if name.startswith(OF_LATENTS)})
    config = StudentConfig(stage=stage.config.stage, unet=stage.config.unet, latents=latents)
    return config, quantised({f"unet.{name}": weight for name, weight in denoiser.items()})
