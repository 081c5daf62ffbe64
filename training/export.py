"""Trained models as the folders that `scripts/import` reads: weights and a configuration each."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from models.checkpoint.own import write_own
from models.checkpoint.source import ENCODER, Source
from models.checkpoint.student import student_of
from models.config import Config, Kinds, TextConfig
from models.dense import DenseUNet
from models.sparse import SparseUNet
from models.stages import CoarseStage, FineStage
from models.text import TextEncoder
from models.vae_encoder import Encoder


def export_text(encoder: TextEncoder, config: TextConfig, kinds: Kinds, folder: Path) -> None:
    """Writes the text tower, with the kinds of shapes that it was trained on."""
    _write(
        folder,
        replace(config, kinds=kinds),
        {name: _half(value) for name, value in encoder.state_dict().items()},
    )


def export_stage(stage: CoarseStage | FineStage, folder: Path, encoder: Encoder | None = None) -> None:
    """Writes denoiser, decoder and scale factor of a stage, and the encoder, so that others can train it further."""
    unet: DenseUNet | SparseUNet = stage.unet
    tensors = {f"unet.{name}": _half(value) for name, value in unet.state_dict().items()}
    tensors |= {f"vae.{name}": _half(value) for name, value in stage.decoder.state_dict().items()}
    if encoder is not None:
        tensors |= {f"{ENCODER}{name}": _half(value) for name, value in encoder.state_dict().items()}
    tensors["scale_factor"] = torch.tensor(stage.scale_factor)
    _write(folder, stage.config, tensors)


def export_student(stage: CoarseStage | FineStage, teacher: Source, folder: Path) -> None:
    """Writes the denoiser of a stage alone, in eight bits, as a student of its teacher."""
    unet: DenseUNet | SparseUNet = stage.unet
    _write(folder, *student_of(teacher, unet.state_dict()))


def _write(folder: Path, config: Config, tensors: dict[str, Tensor]) -> None:
    """Raises OSError where the disk is full, which safetensors has an error of its own for."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_own(folder, config, tensors)
    except SafetensorError as error:
        if not (number := re.search(r"\(os error (\d+)\)", str(error))):
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(folder)) from error


def megabytes(folder: Path) -> float:
    """The size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _half(value: Tensor) -> Tensor:
    return value.detach().half().cpu().contiguous()
