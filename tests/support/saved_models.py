"""Models with random weights, saved for a service to load: 4^3 latents -> 32^3 -> 128^3 voxels.

They are not the tiny ones of `models.sizes`: what a service is tested for needs shapes of hundreds of voxels, a fine
stage four times as fine as the coarse one, as the demo's is, and a text tower of their own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.checkpoint.own import open_own, write_own
from models.checkpoint.source import ENCODER
from models.checkpoint.student import student_of
from models.config import (
    DenseUNetConfig,
    Kinds,
    SparseUNetConfig,
    StageConfig,
    TextConfig,
    VAEConfig,
)
from models.dense import DenseUNet
from models.sparse import SparseUNet
from models.text import TextEncoder
from models.vae import Decoder

TEXT = TextConfig(width=64, heads=2, layers=2)
COARSE = StageConfig(
    stage="coarse",
    unet=DenseUNetConfig(
        in_channels=4, out_channels=4, image_size=4, model_channels=32, channel_mult=(1,),
        num_res_blocks=1, attention_resolutions=(), num_heads=2, context_dim=TEXT.width,
    ),
    vae=VAEConfig(num_blocks=4, f_maps=8, latent_channels=4, latent_resolution=4, dense_latent=True),
    voxel_size=1 / 32,
)  # fmt: skip
FINE = StageConfig(
    stage="fine",
    unet=SparseUNetConfig(
        in_channels=4 + 6, out_channels=4, model_channels=32, channel_mult=(1,),
        num_res_blocks=1, attention_resolutions=(), num_heads=2, context_dim=TEXT.width,
    ),
    vae=VAEConfig(num_blocks=3, f_maps=8, latent_channels=4, latent_resolution=32, dense_latent=False),
    voxel_size=1 / 128,
)  # fmt: skip


def save_models(
    folder: Path,
    *,
    text: bool = True,
    fine: bool = True,
    keep: float = -0.25,
    keep_fine: float = -0.05,
    seed: int = 7,
    kinds: Kinds | None = None,
    turbo: bool = False,
) -> None:
    """Writes demo_text, demo_coarse and demo_fine into a folder, in the project's own format.

    keep: bias of the coarse structure heads towards keeping voxels; -0.25 leaves some hundreds, -9 none at all.
    keep_fine: the same for the fine ones. seed: of the weights. kinds: those that the text
    model lists. turbo: whether demo_turbo_coarse and demo_turbo_fine are written as well, with weights of their own.
    """
    torch.manual_seed(seed)
    if text:
        _save(folder / "demo_text", replace(TEXT, kinds=kinds or {}), {"": TextEncoder(TEXT)})
    _save_stage(folder / "demo_coarse", COARSE, DenseUNet, keep)
    if fine:
        _save_stage(folder / "demo_fine", FINE, SparseUNet, keep_fine)
    if turbo:
        save_student(folder, COARSE, DenseUNet)
        if fine:
            save_student(folder, FINE, SparseUNet)


def save_student(folder: Path, config: StageConfig, unet: type[nn.Module]) -> None:
    """Writes demo_turbo_coarse or demo_turbo_fine, a student of what is in the folder, with random weights."""
    student = folder / f"demo_turbo_{config.stage}"
    student.mkdir()
    teacher = open_own(folder / f"demo_{config.stage}")
    write_own(student, *student_of(teacher, _randomised(unet(config.unet)).state_dict()))


def _save_stage(folder: Path, config: StageConfig, unet: type[nn.Module], keep: float) -> None:
    decoder = Decoder(config.vae)
    for head in decoder.structure:
        head.out.bias.data = torch.tensor([keep, 0.0])
    modules = {"unet.": _randomised(unet(config.unet)), "vae.": decoder}
    _save(folder, config, modules, scale_factor=torch.tensor(1.0))


def _randomised(module: nn.Module) -> nn.Module:
    """A fresh U-Net predicts zero; random weights in its last layers make the prompt matter."""
    for parameter in module.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return module


def _save(folder: Path, config: TextConfig | StageConfig, modules: dict[str, nn.Module], **extra: torch.Tensor) -> None:
    folder.mkdir(parents=True)
    for prefix, module in modules.items():
        extra |= {prefix + name: value.contiguous() for name, value in module.state_dict().items()}
    write_own(folder, config, extra)


def leave_out_encoder(folder: Path) -> None:
    """Takes the encoder out of a saved model, if it holds one."""
    weights = folder / "model.safetensors"
    save_file({name: value for name, value in load_file(weights).items() if not name.startswith(ENCODER)}, weights)
