"""Trained models as the folders that `scripts/import` reads: float16 weights and a configuration each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoint.own import write_own
from models.config import Kinds, TextConfig
from models.dense import DenseUNet
from models.sparse import SparseUNet
from models.stages import CoarseStage, FineStage
from models.text import TextEncoder


def export_text(encoder: TextEncoder, config: TextConfig, kinds: Kinds, folder: Path) -> None:
    """Writes the text tower, with the kinds of shapes that it was trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    write_own(
        folder,
        replace(config, kinds=kinds),
        {name: _half(value) for name, value in encoder.state_dict().items()},
    )


def export_stage(stage: CoarseStage | FineStage, folder: Path) -> None:
    """Writes denoiser, decoder and scale factor of a stage."""
    unet: DenseUNet | SparseUNet = stage.unet
    tensors = {f"unet.{name}": _half(value) for name, value in unet.state_dict().items()}
    tensors |= {f"vae.{name}": _half(value) for name, value in stage.decoder.state_dict().items()}
    tensors["scale_factor"] = torch.tensor(stage.scale_factor)
    folder.mkdir(parents=True, exist_ok=True)
    write_own(folder, stage.config, tensors)


def megabytes(folder: Path) -> float:
    """The size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _half(value: Tensor) -> Tensor:
    return value.detach().half().cpu().contiguous()
