"""Batches of the fine denoiser in memory of fixed size: as they are without, or with a few voxels less."""

from __future__ import annotations

import torch
from torch import Tensor

from models.grids.ordering import voxel_keys
from training.fine_inputs import ROOM_STEP, _padded, _used, rooms_of
from training.padded import Room
from training.rows import Rows
from training.shapes import sample, voxelize

SHAPES, BATCH = 12, 5


def latents() -> Rows:
    """Every third voxel beside the surface; values tell which voxel they are of."""
    parts = []
    for seed in range(SHAPES):
        ijk = voxelize(sample(seed)).coarse_ijk
        beside = (torch.arange(len(ijk)) % 3 > 0).float()
        parts.append(
            Rows(ijk.to(torch.int8), torch.stack((torch.arange(len(ijk)), beside), 1), torch.tensor([0, len(ijk)]))
        )
    return Rows.join(parts)


def draws(keys: Tensor) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(3, BATCH + 1, generator=generator), torch.rand(100_000, generator=generator)[: len(keys)]


def test_there_is_room_for_any_batch_and_for_the_largest_shape_on_every_level() -> None:
    rows = latents()
    taken, rooms = rooms_of(rows, BATCH, 3)
    assert len(rooms) == 3
    for seed in range(40):
        chosen = torch.randint(SHAPES, (BATCH,), generator=torch.Generator().manual_seed(seed))
        grid, values = rows.batch(chosen)
        assert len(grid) <= taken
        grid = grid.prune(values[:, -1] > 0.5)
        for room in rooms:
            assert len(grid) <= room.rows
            assert max(grid.counts) <= room.length
            assert room.rows % ROOM_STEP == room.length % ROOM_STEP == 0
            grid = grid.coarse()


def test_voxels_in_memory_of_fixed_size_are_those_without_and_the_last_ones_go_where_it_is_too_small() -> None:
    rows = latents()
    gathered = rows.gather(torch.arange(BATCH))
    keys, values = _padded(gathered, None)
    assert torch.equal(keys, voxel_keys(gathered.ijk, gathered.owner))
    exact, exact_values = _used(keys, values, *draws(keys), None)
    assert exact.inside.all()
    assert 0.9 * values[:, 1].sum() < len(exact_values) < len(keys)
    for room, length in ((len(keys) + 500, len(exact_values)), (400, 400)):
        padded_keys, padded_values = _padded(gathered, len(keys) + 300)
        rooms = [Room(room, 4096), Room(room, 4096)]
        grid, kept = _used(padded_keys, padded_values, *draws(padded_keys), rooms)
        assert len(grid.keys) == len(kept) == room
        assert int(grid.inside.sum()) == length
        assert torch.equal(grid.keys[:length], exact.keys[:length])
        assert torch.equal(kept[:length], exact_values[:length])
