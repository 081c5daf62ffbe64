"""How far a decoded shape is from a given one, for all that learns by it."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from models.config import VAEConfig
from models.grids import TorchGrid
from models.vae import Decoded

AnyGrid = TypeVar("AnyGrid", bound=TorchGrid)


def levels_of(grid: AnyGrid, config: VAEConfig) -> list[AnyGrid]:
    """The true grid of every decoder level, coarse to fine."""
    levels = [grid]
    for _ in range(config.num_blocks - 1):
        levels.append(levels[-1].coarse())
    return levels[::-1]


def structure_loss(decoded: Decoded) -> Tensor:
    """Mean cross-entropy of each level, summed; class 0 = the voxel exists."""
    parts = [functional.cross_entropy(level.logits, (~level.keep).long()) for level in decoded.levels]
    return torch.stack(parts).sum()


def normal_loss(predicted: Tensor, normals: Tensor) -> Tensor:
    """Mean absolute error, plus one minus the cosine, of raw predictions against unit normals [N, 3]."""
    cosine = functional.cosine_similarity(predicted, normals, dim=1)
    return (predicted - normals).abs().mean() + (1 - cosine).mean()
