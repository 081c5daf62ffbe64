"""Training of the fine denoiser: coarse voxels with normals, and text -> latents on those voxels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from models.config import SparseUNetConfig
from models.layers import TextContext
from models.runtime import Runtime
from models.shape import Voxels
from models.sparse import SparseUNet, with_voxels
from models.stages import FineStage
from models.text import TextEncoder
from models.vae import Decoder
from training.dataset import Shapes, unit
from training.diffusion import Noising, caption_states, save_pictures, start_as_identity
from training.engine import Budget, Losses, Trainer, mixed_precision
from training.fine_inputs import FineInputs
from training.loading import Batches
from training.recipe import Recipe
from training.recorded import Recorded
from training.rows import MEASURED, AnyRows, Rows
from training.start import Start, fill

PREVIEWS = 8


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
    levels = len(config.unet.channel_mult)
    inputs = FineInputs(latents, plan.batch, levels, channels, scale_factor, generator)

    def compute(timesteps: Tensor, states: Tensor, mask: Tensor, *drawn: Tensor) -> Losses:
        batch = inputs.unfold(*drawn)
        grid = batch.grid
        noisy, v = noising.mixed(batch.clean, timesteps[grid.batch], batch.noise)
        with mixed_precision(device):
            predicted = unet(with_voxels(noisy, grid.ijk, batch.normals), grid, timesteps, TextContext(states, mask))
        wrong = (predicted.float() - v).square().sum(dim=1)
        return {"v": torch.where(grid.inside, wrong, 0).sum() / (grid.inside.sum() * channels)}

    recorded = Recorded(unet, compute)

    def losses(step: int) -> Losses:
        chosen, gathered = batches.gathered(step)
        timesteps = noising.timesteps(plan.batch)[torch.randperm(plan.batch, generator=generator, device=device)]
        captions = caption_states(encoder, tokens, chosen.to(device), generator)
        return recorded(functional.pad(timesteps, (0, 1)), *captions, *inputs.draw(gathered))

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


def _coarse(rows: AnyRows, shape: int, voxel_size: float) -> Voxels:
    grid, stored = rows.batch(torch.tensor([shape]))
    return Voxels(grid.ijk.short().cpu().numpy(), unit(stored).cpu().numpy(), voxel_size)
