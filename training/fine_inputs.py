"""Batches of the fine denoiser as tensors, of which a grid, clean latents and disturbed normals are made.

On a GPU their shapes are the same for every batch, so that a step can be recorded; elsewhere they fit the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.grids import counts_of
from models.grids.ordering import keys_to_voxels, voxel_keys
from models.grids.unwaiting import NONE
from training.padded import PaddedGrid, Room
from training.rows import MEASURED, AnyRows, Gathered
from training.vae import chance_of_use

NORMAL_NOISE = 0.3
"""The largest deviation of the noise on coarse normals, which come from a decoder when the model is used."""
AT_ONCE = 8
"""Of the shapes by which the room that batches need is measured."""
BESIDE_TOO = 1.08
"""Voxels used, those beside the surface among them, for each on the surface, with some to spare."""
ROOM_STEP = 128


@dataclass(frozen=True)
class FineBatch:
    """What a step of the fine denoiser learns from: clean latents [N, C], noise [N, C] and unit normals [N, 3]."""

    grid: PaddedGrid
    clean: Tensor
    noise: Tensor
    normals: Tensor


class FineInputs:
    """Makes the batches.

    Args:
        latents: What `training.latents.encode_fine` made.
        batch: Samples in a batch.
        levels: Of the denoiser.
        channels: Of a latent.
        scale_factor: What latents are multiplied by.
        generator: Where chance comes from, on the device to train on.
    """

    def __init__(
        self, latents: AnyRows, batch: int, levels: int, channels: int, scale_factor: float, generator: torch.Generator
    ) -> None:
        self._batch, self._channels, self._scale_factor, self._generator = batch, channels, scale_factor, generator
        self._taken, self._rooms = None, None
        if generator.device.type == "cuda":
            self._taken, self._rooms = rooms_of(latents, batch, levels)

    def draw(self, gathered: Gathered) -> tuple[Tensor, ...]:
        """What `unfold` takes: voxels of a batch, and all that is random."""
        device = self._generator.device

        def uniform(*size: int) -> Tensor:
            return torch.rand(size, generator=self._generator, device=device)

        def normal(*size: int) -> Tensor:
            return torch.randn(size, generator=self._generator, device=device)

        keys, values = _padded(gathered.to(device), self._taken)
        rows = len(keys) if self._rooms is None else self._rooms[0].rows
        return (
            keys, values, uniform(3, self._batch + 1), uniform(len(keys)), normal(rows, self._channels),
            NORMAL_NOISE * uniform(self._batch + 1, 1), normal(rows, 3),
        )  # fmt: skip

    def unfold(
        self, keys: Tensor, values: Tensor, chances: Tensor, chance: Tensor, noise: Tensor, deviation: Tensor,
        normal_noise: Tensor,
    ) -> FineBatch:  # fmt: skip
        """The batch of what `draw` gave, with no more random numbers."""
        grid, used = _used(keys, values, chances, chance, self._rooms)
        rows, channels = len(used), self._channels
        normals = used[:, channels : channels + 3] + deviation[grid.batch] * normal_noise[:rows]
        clean = used[:, :channels] * self._scale_factor
        return FineBatch(grid, clean, noise[:rows], functional.normalize(normals, dim=1))


def rooms_of(latents: AnyRows, batch: int, levels: int) -> tuple[int, list[Room]]:
    """Room for the voxels of nearly every batch: of all voxels in the table, and of those used on each level."""
    sizes = latents.sizes()
    some = torch.linspace(0, len(sizes) - 1, min(len(sizes), MEASURED)).long()
    counts = []
    for part in some.split(AT_ONCE):
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
