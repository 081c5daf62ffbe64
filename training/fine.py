"""Training of the fine denoiser: coarse voxels with normals, and text -> latents on those voxels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from models.config import SparseUNetConfig
from models.runtime import Runtime
from models.shape import Voxels
from models.sparse import SparseUNet, with_voxels
from models.stages import FineStage
from models.text import TextEncoder
from models.vae import Decoder
from training.dataset import Shapes, unit
from training.diffusion import Noising, caption_context, save_pictures, start_as_identity
from training.engine import Budget, Losses, Trainer
from training.loading import Batches
from training.recipe import Recipe
from training.rows import AnyRows, Rows
from training.start import Start, fill
from training.vae import disturb

NORMAL_NOISE = 0.3
"""The largest deviation of the noise on coarse normals, which come from a decoder when the model is used."""
PREVIEWS = 8
MEASURED = 256
"""Shapes by which the deviation of latents in files is measured."""


def train_fine(
    recipe: Recipe, shapes: Shapes, latents: AnyRows, encoder: TextEncoder, decoder: Decoder, start: Start,
    folder: Path, minutes: float | None, generator: torch.Generator,
) -> FineStage:  # fmt: skip
    """Trains the denoiser on what `encode_fine` made, resuming from `folder`; returns the stage that uses it."""
    device, plan, config = generator.device, recipe.fine_plan, recipe.fine
    assert isinstance(config.unet, SparseUNetConfig)
    unet = SparseUNet(config.unet).to(device)
    if not fill(unet, start.fine, "unet."):
        start_as_identity(unet)
    trainer = Trainer("fine", unet, folder / "fine.pt", Budget(plan.steps, minutes), plan.optimization, generator)
    channels = config.unet.out_channels
    # Of latents that memory does not hold, the first ones tell their deviation.
    some = latents.values if isinstance(latents, Rows) else latents.gather(torch.arange(len(latents))[:MEASURED]).values
    on_surface = some[:, -1] > 0.5
    scale_factor = start.scale_factor("fine") or 1 / some[on_surface, :channels].float().std().item()
    noising, tokens = Noising(config.schedule, generator), shapes.tokens.to(device)

    def losses(step: int) -> Losses:
        batch = batches(step)
        grid, values = batch.grid, batch.values
        used = disturb(grid, values[:, -1] > 0.5, generator)
        grid, values = grid.prune(used), values[used].float()
        timesteps = noising.timesteps(plan.batch)[torch.randperm(plan.batch, generator=generator, device=device)]
        noisy, v = noising(values[:, :channels] * scale_factor, timesteps[grid.batch])
        normals = noisy_normals(values[:, channels : channels + 3], grid.batch, plan.batch, generator)
        features = with_voxels(noisy, grid.ijk, normals)
        context = caption_context(encoder, tokens, batch.chosen.to(device), generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            predicted = unet(features, grid, timesteps, context)
        return {"v": (predicted.float() - v).square().mean()}

    def stage() -> FineStage:
        average = trainer.average
        assert isinstance(average, SparseUNet)
        return FineStage(config, average, decoder, scale_factor, Runtime(device))

    def sample(step: int) -> None:
        model = stage()
        chosen = range(min(PREVIEWS, len(shapes)))
        labels = [f"shape {shape}" for shape in chosen]
        states = [
            model.start(_coarse(shapes.coarse, shape, config.voxel_size * config.vae.factor), encoder.null,
                        seed=shape, steps=recipe.sample_steps)
            for shape in chosen
        ]  # fmt: skip
        done = model.decode(model.denoise(states, recipe.sample_steps))
        save_pictures(done, labels, folder / "samples" / f"fine_{step:06d}.png")

    with Batches(latents, plan.batch, device) as batches:
        trainer.run(losses, sample, waited=lambda: batches.waited)
    return stage()


def noisy_normals(normals: Tensor, batch: Tensor, shapes: int, generator: torch.Generator) -> Tensor:
    """Unit normals [K, 3] as a decoder might have made them, with noise of another deviation for each shape.

    Args:
        normals: The true ones, [K, 3].
        batch: Which shape each belongs to, [K].
        shapes: How many there are.
        generator: Draws deviations, then noise.
    """
    device = generator.device
    deviation = NORMAL_NOISE * torch.rand(shapes, 1, generator=generator, device=device)[batch]
    noise = torch.randn(normals.shape, generator=generator, device=device)
    return functional.normalize(normals + deviation * noise, dim=1)


def _coarse(rows: AnyRows, shape: int, voxel_size: float) -> Voxels:
    grid, stored = rows.batch(torch.tensor([shape]))
    return Voxels(grid.ijk.short().cpu().numpy(), unit(stored).cpu().numpy(), voxel_size)
