"""What training of the two denoisers shares: v-prediction, captions, and pictures of samples on the way.

The objective is v = sqrt(a) noise - sqrt(1 - a) latent (Salimans & Ho, "Progressive distillation for fast sampling of
diffusion models", 2022), mean squared error, timesteps spread evenly over a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from formats.preview import contact_sheet, render, save_png
from models.config import ScheduleConfig
from models.dense import DenseUNet, ResBlock
from models.layers import SpatialTransformer
from models.schedulers import alphas_cumprod
from models.shape import Voxels
from models.sparse import SparseResBlock, SparseUNet
from models.text import TextEncoder
from training.dataset import choose_captions
from training.text import drop_text, embed
from training.tokens import insert_random_words

DROPPED = 0.1
"""The share of captions replaced by the empty prompt, for guidance."""
NOISY_CAPTIONS = 0.1
NOT_THERE = -1e4
"""What attention adds to the logits of a token that is not there."""


class Noising:
    """Noisy latents and their targets for a schedule."""

    def __init__(self, schedule: ScheduleConfig, generator: torch.Generator) -> None:
        self.generator = generator
        self.alphas = alphas_cumprod(schedule).to(generator.device)

    def timesteps(self, count: int) -> Tensor:
        """int64 [count], one from each of `count` equal parts of the schedule."""
        device = self.generator.device
        spread = torch.arange(count, device=device) + torch.rand(count, generator=self.generator, device=device)
        return (spread * len(self.alphas) / count).long().clamp(max=len(self.alphas) - 1)

    def __call__(self, clean: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Clean latents [N, …] with one timestep a row -> noisy latents and v, both of that shape."""
        return self.mixed(clean, timesteps, torch.randn(clean.shape, generator=self.generator, device=clean.device))

    def mixed(self, clean: Tensor, timesteps: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The same with given noise."""
        alpha = self.alphas[timesteps].view(-1, *(1,) * (clean.ndim - 1))
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise, alpha.sqrt() * noise - (1 - alpha).sqrt() * clean


def caption_states(
    encoder: TextEncoder, tokens: Tensor, shapes: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """States [B, L, D] of a caption of each shape, some disturbed, some dropped, and what attention adds [B, L]."""
    with torch.no_grad():
        captions = choose_captions(tokens, shapes, generator)
        noisy = insert_random_words(captions, 2, NOISY_CAPTIONS, generator)
        return states_of(encoder, drop_text(noisy, DROPPED, generator)[:, : encoder.config.context_length])


def states_of(encoder: TextEncoder, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """States [B, L, D] of tokens int64 [B, L], and what attention adds for each [B, L]."""
    states, mask = embed(encoder, tokens)
    return states, torch.where(mask, 0.0, NOT_THERE)


def start_as_identity(unet: DenseUNet | SparseUNet) -> None:
    """Zeroes the last layer of every residual branch and of the output, so that training starts calmly."""
    last: list[nn.Module] = [unet.out_conv]
    for module in unet.modules():
        if isinstance(module, ResBlock | SparseResBlock):
            last.append(module.conv2)
        elif isinstance(module, SpatialTransformer):
            last.append(module.proj_out)
    for layer in last:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


def save_pictures(shapes: Sequence[Voxels], labels: Sequence[str], path: Path) -> None:
    """A contact sheet of shapes as PNG."""
    images = [render(s.ijk, s.normal, resolution=round(1 / s.voxel_size), size=192) for s in shapes]
    save_png(contact_sheet(images, labels, columns=4), path)
