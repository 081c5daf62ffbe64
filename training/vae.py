"""Training of the two VAEs, and the latents that the diffusion stages learn.

The served decoders never see what the encoders see: they decode latents that a diffusion model made up, on voxels that
a decoder before them made up. So the latents they are trained on are noisy (the encoder's deviation is at least 1,
because its log-variance comes out of a ReLU), and the fine decoder's voxels are disturbed: some are missing, and some
lie beside the surface, where it must learn to drop them.

Latent grids. The official encoder makes latents on every voxel whose trilinear support holds a point, a wider set than
the coarse voxels that the fine stage is given when it generates. Here the fine latents live on the coarse voxels, so
that training and use agree; the wider set supplies the voxels beside the surface.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoint.source import ENCODER, Source
from models.config import StageConfig, VAEConfig
from models.grids.differentiable import DifferentiableGrid
from models.reconstruction import levels_of, normal_loss, structure_loss
from models.vae import Decoder, DoubleConv
from models.vae_encoder import Encoder
from training.dataset import unit
from training.engine import Budget, Losses, Trainer, mixed_precision
from training.loading import Batches
from training.recipe import Plan
from training.rows import AnyRows
from training.start import fill, holds_encoder, stage_of

KL_WEIGHT = 5e-4
NORMAL_WEIGHT = 0.5
MEAN_GAIN = 4.0
CHECKED = 8
MISSING, BESIDE = 0.03, 0.10
"""The most coarse voxels that are left out, and the most of those beside the surface that are added."""


class Autoencoder(nn.Module):
    """Encoder and decoder of one stage."""

    def __init__(self, config: StageConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.vae)
        self.decoder = Decoder(config.vae)
        # A latent's deviation is at least 1, so its mean has to be larger than a fresh layer makes it.
        last = self.encoder.bottleneck[-1]
        assert isinstance(last, DoubleConv)
        with torch.no_grad():
            last.conv2.conv.weight[: config.vae.latent_channels] *= MEAN_GAIN
            last.conv2.conv.weight[config.vae.latent_channels :] /= MEAN_GAIN

    def encode(self, grid: DifferentiableGrid, normals: Tensor) -> tuple[DifferentiableGrid, Tensor, Tensor]:
        """Voxels with unit normals -> latent grid, mean and log-variance [M, C], float32."""
        latent_grid, mean, log_variance = self.encoder(grid, normals, self.config.voxel_size)
        assert isinstance(latent_grid, DifferentiableGrid)
        return latent_grid, mean.float(), log_variance.float()


def train_vae(
    config: StageConfig, plan: Plan, rows: AnyRows, start: Source | None, folder: Path, minutes: float | None,
    generator: torch.Generator,
) -> Autoencoder:  # fmt: skip
    """Trains the VAE of a stage on voxels of its finest grid, resuming from `folder`, and returns it frozen.

    The decoder of a model to start from stays as it is, because its denoiser knows its latents. So does its encoder,
    and nothing is left to train; if the model holds none, one is trained that makes such latents of the new shapes.
    """
    device, name = generator.device, f"{config.stage}_vae"
    if (known := known_vae(start)) is not None:
        return known.to(device)
    model = Autoencoder(config).to(device)
    if fill(model.decoder, start, "vae."):
        model.decoder.requires_grad_(False)
    trainer = Trainer(name, model, folder / f"{name}.pt", Budget(plan.steps, minutes), plan.optimization, generator)

    def losses(step: int) -> Losses:
        batch = batches(step)
        with mixed_precision(device):
            return vae_losses(model, batch.grid, unit(batch.values), generator)

    def check(step: int) -> None:
        average = trainer.average
        assert isinstance(average, Autoencoder)
        iou, cosine = reconstruction(average.eval(), rows, range(min(CHECKED, len(rows))))
        print(f"{name}: step {step}, {CHECKED} shapes decoded again: IoU {iou:.4f}, cosine of normals {cosine:.4f}")

    with Batches(rows, plan.batch, device) as batches:
        average = trainer.run(losses, check, waited=lambda: batches.waited)
    assert isinstance(average, Autoencoder)
    return average.eval().requires_grad_(False)


def known_vae(source: Source | None) -> Autoencoder | None:
    """The VAE of a stage's model, frozen; None without a model, or if it does not hold its encoder."""
    if source is None or not holds_encoder(source):
        return None
    model = Autoencoder(stage_of(source))
    fill(model.encoder, source, ENCODER)
    fill(model.decoder, source, "vae.")
    return model.eval().requires_grad_(False)


def vae_losses(model: Autoencoder, grid: DifferentiableGrid, normals: Tensor, generator: torch.Generator) -> Losses:
    """Structure (cross-entropy of every level), normals (L1 and direction) and Kullback-Leibler divergence."""
    config = model.config.vae
    latent_grid, mean, log_variance = model.encode(grid, normals)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    latent = mean + (0.5 * log_variance).exp() * noise
    targets = levels_of(grid, config)
    if not config.dense_latent:
        rows = targets[0].rows_of(latent_grid.ijk, latent_grid.batch)
        used = disturb(latent_grid, rows < len(targets[0]), generator)
        latent_grid, latent = latent_grid.prune(used), latent[used]
        kept = latent_grid.rows_of(targets[0].ijk, targets[0].batch) < len(latent_grid)
        normals, targets = normals[_descendants(grid, targets[0], kept, config)], _restrict(targets, kept)
    decoded = model.decoder(latent, latent_grid, targets)
    return {
        "structure": structure_loss(decoded),
        "normal": NORMAL_WEIGHT * normal_loss(decoded.normals, normals),
        "kl": KL_WEIGHT * divergence,
    }


@torch.no_grad()
def reconstruction(model: Autoencoder, rows: AnyRows, shapes: range) -> tuple[float, float]:
    """Encodes shapes and decodes their mean latents as when serving: IoU of all voxels, mean cosine where both are."""
    grid, stored = rows.batch(torch.tensor(shapes))
    latent_grid, mean, _ = model.encode(grid, unit(stored))
    if not model.config.vae.dense_latent:
        coarse = levels_of(grid, model.config.vae)[0]
        there = coarse.rows_of(latent_grid.ijk, latent_grid.batch) < len(coarse)
        latent_grid, mean = latent_grid.prune(there), mean[there]
    decoded = model.decoder(mean, latent_grid)
    found = grid.rows_of(decoded.grid.ijk, decoded.grid.batch)
    both = found < len(grid)
    shared = int(both.sum())
    cosine = functional.cosine_similarity(decoded.normals[both], unit(stored)[found[both]], dim=1)
    return shared / (len(grid) + len(found) - shared), cosine.mean().item()


def disturb(grid: DifferentiableGrid, on_surface: Tensor, generator: torch.Generator) -> Tensor:
    """Which voxels to use: those on the surface (bool [N]) less a few, and a few of the others. bool [N].

    Half of the samples are left as they are.
    """
    samples = len(grid.counts)

    def uniform(count: int) -> Tensor:
        return torch.rand(count, generator=generator, device=on_surface.device)

    chance = chance_of_use(on_surface, grid.batch, torch.stack([uniform(samples) for _ in range(3)]))
    return uniform(len(grid)) < chance


def chance_of_use(on_surface: Tensor, owner: Tensor, uniform: Tensor) -> Tensor:
    """How likely each voxel [N] is used by `disturb`. owner: its sample; uniform: numbers from 0 to 1, [3, S]."""
    disturbed = uniform[0] < 0.5
    missing, beside = MISSING * uniform[1] * disturbed, BESIDE * uniform[2] * disturbed
    return torch.where(on_surface, 1 - missing[owner], beside[owner])


def _descendants(grid: DifferentiableGrid, coarse: DifferentiableGrid, kept: Tensor, config: VAEConfig) -> Tensor:
    """Which voxels of the finest grid lie in coarse voxels that are kept, bool [N]."""
    rows = coarse.rows_of(torch.div(grid.ijk, config.factor, rounding_mode="floor"), grid.batch)
    return kept[rows]


def _restrict(targets: list[DifferentiableGrid], kept: Tensor) -> list[DifferentiableGrid]:
    """The targets without what lies in coarse voxels that are not kept."""
    restricted = [targets[0].prune(kept)]
    for finer in targets[1:]:
        parents = restricted[-1].rows_of(finer.ijk >> 1, finer.batch)
        restricted.append(finer.prune(parents < len(restricted[-1])))
    return restricted
