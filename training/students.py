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
from training.dataset import Shapes
from training.diffusion import caption_states, states_of
from training.distil import SCALE, Batch, Inputs, distil
from training.engine import mixed_precision
from training.fine_inputs import FineInputs
from training.loading import Batches
from training.recipe import Recipe
from training.rows import AnyRows
from training.start import Start, fill
from training.text import drop_text


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

    def draw(step: int) -> tuple[Tensor, ...]:
        chosen, clean = batches(step)
        noise = torch.randn(clean.shape, generator=generator, device=device)
        return clean * scale_factor, noise, *_captions(encoder, tokens, chosen, generator)

    def unfold(clean: Tensor, noise: Tensor, *captions: Tensor) -> Batch:
        contexts = _contexts(*captions)

        def predict(model: nn.Module, noisy: Tensor, timesteps: Tensor, told: bool) -> Tensor:
            with mixed_precision(device):
                predicted: Tensor = model(noisy, timesteps, contexts[told])
            return predicted.float()

        return Batch(clean, noise, torch.arange(plan.batch, device=device), None, plan.batch, predict)

    inputs = Inputs(draw, unfold)
    with CubeBatches(latents, plan.batch) as batches:
        student = distil("coarse", teacher, inputs, plan, config.schedule, folder, minutes, generator, SCALE)
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

    levels = len(config.unet.channel_mult)
    made = FineInputs(latents, plan.batch, levels, channels, scale_factor, generator)

    def draw(step: int) -> tuple[Tensor, ...]:
        chosen, gathered = batches.gathered(step)
        return *_captions(encoder, tokens, chosen.to(device), generator), *made.draw(gathered)

    def unfold(told: Tensor, mask: Tensor, untold: Tensor, its_mask: Tensor, *drawn: Tensor) -> Batch:
        batch, contexts = made.unfold(*drawn), _contexts(told, mask, untold, its_mask)
        grid = batch.grid

        def predict(model: nn.Module, noisy: Tensor, timesteps: Tensor, told: bool) -> Tensor:
            with mixed_precision(device):
                predicted: Tensor = model(with_voxels(noisy, grid.ijk, batch.normals), grid, timesteps, contexts[told])
            return predicted.float()

        # One sample more is what is only room.
        return Batch(batch.clean, batch.noise, grid.batch, grid.inside, plan.batch + 1, predict)

    inputs = Inputs(draw, unfold)
    with Batches(latents, plan.batch, device) as batches:
        student = distil("fine", teacher, inputs, plan, config.schedule, folder, minutes, generator)
    assert isinstance(student, SparseUNet)
    return FineStage(config, student, decoder, scale_factor, Runtime(device))


def _captions(encoder: TextEncoder, tokens: Tensor, chosen: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
    """States and masks of a caption of each shape, then those of the empty prompt."""
    with torch.no_grad():
        empty = drop_text(tokens[chosen, 0].long(), 1.0, generator)[:, : encoder.config.context_length]
        return *caption_states(encoder, tokens, chosen, generator), *states_of(encoder, empty)


def _contexts(told: Tensor, mask: Tensor, untold: Tensor, its_mask: Tensor) -> tuple[TextContext, TextContext]:
    """The text condition of a batch without captions, and with them."""
    return TextContext(untold, its_mask), TextContext(told, mask)
