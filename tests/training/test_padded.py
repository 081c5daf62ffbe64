from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.grids import TorchGrid, counts_of
from models.grids.differentiable import DifferentiableGrid
from models.grids.unwaiting import NONE
from models.layers import TextContext
from models.sparse import SparseUNet
from training.padded import PaddedGrid, Room
from training.recipe import SMOKE
from training.shapes import sample, voxelize

LEVELS = 2
SAMPLES = 3


def voxels() -> DifferentiableGrid:
    shapes = [voxelize(sample(seed)).coarse_ijk for seed in range(SAMPLES)]
    sizes = torch.tensor([len(shape) for shape in shapes])
    return DifferentiableGrid.from_ijk(torch.cat(shapes).int(), torch.arange(SAMPLES).repeat_interleave(sizes), SAMPLES)


def padded(grid: DifferentiableGrid, spare: int = 100) -> PaddedGrid:
    if not spare:
        return PaddedGrid(grid.keys, SAMPLES, None)
    rooms = [Room(size + spare, max(level.counts) + 7) for size, level in zip(
        counts_of(grid, LEVELS), (grid, grid.coarse()), strict=True)]  # fmt: skip
    return PaddedGrid(functional.pad(grid.keys, (0, spare), value=NONE), SAMPLES, rooms)


@pytest.mark.parametrize("spare", [100, 0])
def test_a_denoiser_and_its_gradients_on_padded_rows_are_those_on_the_rows_alone(spare: int) -> None:
    grid = voxels()
    config = SMOKE.fine.unet
    torch.manual_seed(0)
    unet = SparseUNet(config)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    x, probe = (torch.randn(len(grid), width, generator=generator) for width in (config.in_channels, 8))
    states, timesteps = torch.randn(SAMPLES, 5, config.context_dim, generator=generator), torch.tensor([3, 500, 900])
    mask = torch.where(torch.arange(5) < torch.tensor([[5], [2], [3]]), 0.0, -1e4)
    results = []
    for kind in (grid, padded(grid, spare)):
        room = len(kind.keys) - len(grid)
        unet.zero_grad()
        rows = functional.pad(x, (0, 0, 0, room), value=3.0)  # what is only room may hold anything
        out = unet(rows, kind, functional.pad(timesteps, (0, isinstance(kind, PaddedGrid))), TextContext(states, mask))
        (out[: len(grid)] * probe).sum().backward()
        results.append([out[: len(grid)].detach(), *(p.grad.clone() for p in unet.parameters() if p.grad is not None)])
    assert len(results[0]) == len(results[1]) > 50
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("operation", ["average_pool", "upsample"])
def test_resampling_and_its_gradient_equal_those_of_the_torch_backend(operation: str) -> None:
    results = []
    grid = voxels()
    reference = TorchGrid(grid.keys, grid.counts)
    rows = len(grid) if operation == "average_pool" else len(grid.coarse())
    for kind in (reference, padded(grid, 0)):
        features = torch.randn(rows, 3, generator=torch.Generator().manual_seed(2), requires_grad=True)
        output = getattr(kind, operation)(features)
        output.square().sum().backward()
        results.append((output.detach(), features.grad))
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_coarser_levels_hold_the_parents_and_what_has_no_room_is_left_out() -> None:
    grid = voxels()
    whole = padded(grid).coarse()
    parents = grid.coarse()
    assert torch.equal(whole.keys[whole.inside], parents.keys)
    assert torch.equal(whole.ijk[whole.inside], parents.ijk)
    assert torch.equal(whole.batch[whole.inside], parents.batch)
    few = PaddedGrid(grid.keys, SAMPLES, [Room(len(grid), 9), Room(50, 9)])
    assert torch.equal(few.coarse().keys, parents.keys[:50])
    features = torch.ones(50, 2, requires_grad=True)
    up = few.upsample(features)
    in_room = torch.isin(torch.arange(len(parents))[grid.parents], torch.arange(50))
    assert torch.equal(up[:, 0] > 0, in_room)
    up.sum().backward()
    assert features.grad is not None
    assert features.grad[:, 0].sum() == in_room.sum()


@pytest.mark.parametrize("length", [5, 10_000])
def test_attention_sees_as_many_rows_of_a_sample_as_there_is_room_for(length: int) -> None:
    grid = voxels()
    rooms = [Room(len(grid), length), Room(len(grid), length)]
    layout = PaddedGrid(grid.keys, SAMPLES, rooms).layout
    x = torch.arange(1.0, len(grid) + 1)[:, None].requires_grad_()
    block = layout.cube(x)
    parts: list[Tensor] = list(x.detach().split(grid.counts))
    for found, part in zip(block, parts, strict=True):
        kept = min(length, len(part))
        assert torch.equal(found[:kept], part[:kept])
        assert not found[kept:].any()
    assert int(layout.mask.sum()) == sum(min(length, len(part)) for part in parts)
    back = layout.rows(block)
    assert torch.equal(back, torch.cat([torch.where(torch.arange(len(p))[:, None] < length, p, 0) for p in parts]))
    back.sum().backward()
    assert x.grad is not None
    assert int(x.grad.sum()) == int(layout.mask.sum())
