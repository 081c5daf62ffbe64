"""Training of the fine denoiser: coarse voxels with normals, and text -> latents on those voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from models.config import SparseUNetConfig
from models.grids import counts_of
from models.grids.ordering import keys_to_voxels, voxel_keys
from models.grids.unwaiting import NONE
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
from training.loading import Batches
from training.padded import PaddedGrid, Room
from training.recipe import Recipe
from training.recorded import Recorded
from training.rows import MEASURED, AnyRows, Gathered, Rows
from training.start import Start, fill
from training.vae import chance_of_use

NORMAL_NOISE = 0.3
"""The largest deviation of the noise on coarse normals, which come from a decoder when the model is used."""
PREVIEWS = 8
BESIDE_TOO = 1.08
"""Voxels used, those beside the surface among them, for each on the surface, with some to spare."""
ROOM_STEP = 128


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
    taken, rooms = None, None
    if device.type == "cuda":  # what is recorded needs room that fits nearly every batch
        taken, rooms = rooms_of(latents, plan.batch, len(config.unet.channel_mult))

    def compute(
        keys: Tensor, values: Tensor, chances: Tensor, chance: Tensor, noise: Tensor, deviation: Tensor,
        normal_noise: Tensor, timesteps: Tensor, states: Tensor, mask: Tensor,
    ) -> Losses:  # fmt: skip
        grid, values = _used(keys, values, chances, chance, rooms)
        rows = len(values)
        noisy, v = noising.mixed(values[:, :channels] * scale_factor, timesteps[grid.batch], noise[:rows])
        normals = values[:, channels : channels + 3] + deviation[grid.batch] * normal_noise[:rows]
        features = with_voxels(noisy, grid.ijk, functional.normalize(normals, dim=1))
        with mixed_precision(device):
            predicted = unet(features, grid, timesteps, TextContext(states, mask))
        wrong = (predicted.float() - v).square().sum(dim=1)
        return {"v": torch.where(grid.inside, wrong, 0).sum() / (grid.inside.sum() * channels)}

    recorded = Recorded(unet, compute)

    def losses(step: int) -> Losses:
        chosen, gathered = batches.gathered(step)
        keys, values = _padded(gathered.to(device), taken)
        rows = len(keys) if rooms is None else rooms[0].rows
        timesteps = noising.timesteps(plan.batch)[torch.randperm(plan.batch, generator=generator, device=device)]
        uniform, normal = (partial(draw, generator=generator, device=device) for draw in (torch.rand, torch.randn))
        return recorded(
            keys, values, uniform(3, plan.batch + 1), uniform(len(keys)), normal(rows, channels),
            NORMAL_NOISE * uniform(plan.batch + 1, 1), normal(rows, 3),
            functional.pad(timesteps, (0, 1)), *caption_states(encoder, tokens, chosen.to(device), generator),
        )  # fmt: skip

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


def rooms_of(latents: AnyRows, batch: int, levels: int) -> tuple[int, list[Room]]:
    """Room for the voxels of nearly every batch: of all voxels in the table, and of those used on each level."""
    sizes = latents.sizes()
    some = torch.linspace(0, len(sizes) - 1, min(len(sizes), MEASURED)).long()
    counts = []
    for part in some.split(PREVIEWS):
        grid, values = latents.batch(part)
        grid = grid.prune(values[:, -1] > 0.5)
        for sample in range(len(part)):
            alone = grid.prune(grid.batch == sample)
            counts.append(counts_of(alone, levels))
    rooms = [
        Room(_room(level, batch, BESIDE_TOO), _rounded(BESIDE_TOO * level.max().item()))
        for level in torch.tensor(counts).T
    ]
    return _room(sizes, batch, 1.0), rooms


def _room(sizes: Tensor, batch: int, factor: float) -> int:
    """Room for a batch of samples of such sizes, with four deviations of their sum to spare."""
    mean, deviation = sizes.double().mean().item(), sizes.double().std(correction=0).item()
    return _rounded(factor * min(batch * mean + 4 * deviation * math.sqrt(batch), batch * sizes.max().item()))


def _rounded(size: float) -> int:
    return -(-int(size) // ROOM_STEP) * ROOM_STEP


def _padded(gathered: Gathered, room: int | None) -> tuple[Tensor, Tensor]:
    """Keys and values of voxels with room for `room` of them, None for all; those without room are left out."""
    keys, values = voxel_keys(gathered.ijk, gathered.owner)[:room], gathered.values[:room]
    missing = (room or len(keys)) - len(keys)
    return functional.pad(keys, (0, missing), value=NONE), functional.pad(values, (0, 0, 0, missing))


def _used(
    keys: Tensor, values: Tensor, chances: Tensor, chance: Tensor, rooms: Sequence[Room] | None
) -> tuple[PaddedGrid, Tensor]:
    """What `disturb` leaves of padded voxels, given its random numbers: a grid, and values [N, C] in float32."""
    samples = chances.shape[1] - 1
    there = keys < NONE
    owner = torch.where(there, keys_to_voxels(keys)[1], samples)
    used = there & (chance < chance_of_use(values[:, -1] > 0.5, owner, chances))
    ascending, order = torch.sort(torch.where(used, keys, NONE))
    rows = int(used.sum()) if rooms is None else rooms[0].rows
    if rows > len(keys):
        ascending = functional.pad(ascending, (0, rows - len(keys)), value=NONE)
        order = functional.pad(order, (0, rows - len(keys)))
    return PaddedGrid(ascending[:rows], samples, rooms), values[order[:rows]].float()


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
