"""The two denoisers of a pair as students of themselves: what a distillation needs to know about each."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models.config import DenseUNetConfig, SparseUNetConfig
from models.dense import DenseUNet
from models.layers import TextContext
from models.runtime import Runtime
from models.sparse import SparseUNet, with_voxels
from models.stages import CoarseStage, FineStage
from models.text import TextEncoder
from models.vae import Decoder
from training.cubes import CubeBatches, Cubes
from training.dataset import Shapes, pick
from training.diffusion import caption_context
from training.distil import SCALE, Batch, distil
from training.fine import noisy_normals
from training.recipe import Recipe
from training.rows import AnyRows
from training.start import Start, fill
from training.text import drop_text, embed
from training.vae import disturb


def distil_coarse(
    recipe: Recipe, shapes: Shapes, latents: Cubes, encoder: TextEncoder, decoder: Decoder, start: Start,
    folder: Path, minutes: float | None, generator: torch.Generator,
) -> CoarseStage:  # fmt: skip
    """The coarse stage of `start` for few steps without guidance; latents: mean ones of all shapes."""
    device, plan, config = generator.device, recipe.coarse_plan, recipe.coarse
    assert isinstance(config.unet, DenseUNetConfig)
    teacher = DenseUNet(config.unet).to(device)
    fill(teacher, start.coarse, "unet.")
    scale_factor = start.scale_factor("coarse")
    assert scale_factor is not None
    tokens = shapes.tokens.to(device)

    def draw(step: int) -> Batch:
        chosen, clean = batches(step)
        contexts = _contexts(encoder, tokens, chosen, generator)

        def predict(model: nn.Module, noisy: Tensor, timesteps: Tensor, told: bool) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                predicted: Tensor = model(noisy, timesteps, contexts[told])
            return predicted.float()

        rows = torch.arange(plan.batch, device=device)
        return Batch(clean * scale_factor, rows, plan.batch, predict)

    with CubeBatches(latents, plan.batch) as batches:
        student = distil("coarse", teacher, draw, plan, config.schedule, folder, minutes, generator, SCALE)
    assert isinstance(student, DenseUNet)
    return CoarseStage(config, student, decoder, scale_factor, encoder.null, Runtime(device))


def distil_fine(
    recipe: Recipe, shapes: Shapes, latents: AnyRows, encoder: TextEncoder, decoder: Decoder, start: Start,
    folder: Path, minutes: float | None, generator: torch.Generator,
) -> FineStage:  # fmt: skip
    """The fine stage of `start`, which knows no guidance, for few steps; latents: what `encode_fine` made."""
    device, plan, config = generator.device, recipe.fine_plan, recipe.fine
    assert isinstance(config.unet, SparseUNetConfig)
    teacher = SparseUNet(config.unet).to(device)
    fill(teacher, start.fine, "unet.")
    scale_factor, channels = start.scale_factor("fine"), config.unet.out_channels
    assert scale_factor is not None
    tokens = shapes.tokens.to(device)

    def draw(step: int) -> Batch:
        chosen = pick(len(latents), plan.batch, torch.Generator().manual_seed(step))
        grid, values = latents.batch(chosen)
        used = disturb(grid, values[:, -1] > 0.5, generator)
        grid, values = grid.prune(used), values[used].float()
        normals = noisy_normals(values[:, channels : channels + 3], grid.batch, plan.batch, generator)
        contexts = _contexts(encoder, tokens, chosen.to(device), generator)

        def predict(model: nn.Module, noisy: Tensor, timesteps: Tensor, told: bool) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                predicted: Tensor = model(with_voxels(noisy, grid.ijk, normals), grid, timesteps, contexts[told])
            return predicted.float()

        return Batch(values[:, :channels] * scale_factor, grid.batch.long(), plan.batch, predict)

    student = distil("fine", teacher, draw, plan, config.schedule, folder, minutes, generator)
    assert isinstance(student, SparseUNet)
    return FineStage(config, student, decoder, scale_factor, Runtime(device))


def _contexts(
    encoder: TextEncoder, tokens: Tensor, chosen: Tensor, generator: torch.Generator
) -> tuple[TextContext, TextContext]:
    """The text condition of a batch without captions, and with them."""
    told = caption_context(encoder, tokens, chosen, generator)
    with torch.no_grad():
        empty = drop_text(tokens[chosen, 0].long(), 1.0, generator)
        return TextContext(*embed(encoder, empty[:, : encoder.config.context_length])), told
