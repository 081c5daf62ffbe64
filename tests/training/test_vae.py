from __future__ import annotations

from pathlib import Path

import torch

from models.grids import TorchGrid
from models.grids.differentiable import DifferentiableGrid
from models.reconstruction import levels_of
from tests.support.voxel_rows import rows_of_shapes
from training.dataset import unit
from training.latents import encode_coarse
from training.recipe import SMOKE
from training.shapes import sample, voxelize
from training.vae import Autoencoder, disturb, vae_losses


def test_a_batch_of_rows_holds_the_chosen_shapes_in_the_order_asked_for() -> None:
    rows = rows_of_shapes(3)
    grid, stored = rows.batch(torch.tensor([2, 0]))
    for position, shape in enumerate((2, 0)):
        start, end = int(rows.offset[shape]), int(rows.offset[shape + 1])
        own = grid.batch == position
        assert torch.equal(grid.ijk[own], rows.ijk[start:end].int())
        assert torch.equal(stored[own], rows.values[start:end])


def test_fine_levels_end_at_the_coarse_voxels_that_the_fine_stage_is_given() -> None:
    shape = voxelize(sample(5))
    levels = levels_of(DifferentiableGrid.from_ijk(shape.fine_ijk.int()), SMOKE.fine.vae)
    assert torch.equal(levels[0].ijk, shape.coarse_ijk.int())


def test_both_vaes_learn_from_a_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = voxelize(sample(5))
    small = shape.fine_ijk.int()[(shape.fine_ijk < 0).all(dim=1)]
    for config, ijk, normals in (
        (SMOKE.coarse, shape.coarse_ijk.int(), shape.coarse_normal),
        (SMOKE.fine, small, shape.fine_normal[(shape.fine_ijk < 0).all(dim=1)]),
    ):
        torch.manual_seed(0)
        model = Autoencoder(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        grid, history = DifferentiableGrid.from_ijk(ijk), []
        for _ in range(6):
            loss = torch.stack(list(vae_losses(model, grid, normals, generator).values())).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        assert history[-1] < 0.9 * history[0], config.stage


def test_disturbing_keeps_most_of_the_surface_and_adds_little_beside_it() -> None:
    grid = DifferentiableGrid.dense(8, batch_size=64)
    on_surface = grid.ijk[:, 0] == 0
    used = disturb(grid, on_surface, torch.Generator().manual_seed(0))
    untouched = [torch.equal(u, s) for u, s in zip(used.split(grid.counts), on_surface.split(grid.counts), strict=True)]
    assert 16 < sum(untouched) < 48
    assert 0.95 < used[on_surface].float().mean() < 1
    assert 0 < used[~on_surface].float().mean() < 0.05


def test_coarse_latents_are_cubes_in_the_order_of_the_serving_grid(tmp_path: Path) -> None:
    rows, model = rows_of_shapes(2), Autoencoder(SMOKE.coarse).eval()
    cubes = encode_coarse(model, rows, tmp_path).gather(torch.arange(2))
    grid, stored = rows.batch(torch.tensor([1]))
    _, mean, _ = model.encode(grid, unit(stored))
    side = SMOKE.coarse.vae.latent_resolution
    i, j, k = (TorchGrid.dense(side).ijk.long() + side // 2).unbind(1)
    torch.testing.assert_close(cubes[1, :, i, j, k].T.float(), mean.detach(), rtol=1e-2, atol=1e-2)
