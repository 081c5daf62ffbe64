from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.grids import TorchGrid
from models.grids.differentiable import DifferentiableGrid
from models.grids.samples import BLOCK, Samples
from models.sparse_layers import SparseGroupNorm

COUNTS = (700, 0, 3, 300)


def ijk_and_batch() -> tuple[Tensor, Tensor]:
    parts = [TorchGrid.dense(10).ijk[:count] for count in COUNTS]
    return torch.cat(parts), torch.arange(len(COUNTS)).repeat_interleave(torch.tensor(COUNTS))


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("silu", [False, True])
def test_gradients_of_a_group_norm_are_those_of_automatic_differentiation(modulated: bool, silu: bool) -> None:
    ijk, batch = ijk_and_batch()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(ijk), 12, generator=generator) * 3 + 5
    modulation = torch.randn(len(COUNTS), 24, generator=generator)
    probe = torch.randn(len(ijk), 12, generator=generator)
    results = []
    for kind in (TorchGrid, DifferentiableGrid):
        norm = SparseGroupNorm(4, 12)
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(0.5, 2, 12))
            norm.bias.copy_(torch.linspace(-1, 1, 12))
        rows, modulating = (value.clone().requires_grad_() for value in (x, modulation))
        out = norm(rows, kind.from_ijk(ijk, batch, len(COUNTS)), modulating if modulated else None, silu)
        (out * probe).sum().backward()
        found = [out.detach(), rows.grad, norm.weight.grad, norm.bias.grad]
        results.append([*found, *([modulating.grad] if modulated else [])])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_sums_over_samples_are_those_of_each_alone_and_an_empty_one_has_none() -> None:
    _, batch = ijk_and_batch()
    samples = Samples.of(batch, len(COUNTS))
    rows = torch.randn(len(batch), 5, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([part.sum(dim=0) for part in rows.split(COUNTS)])
    torch.testing.assert_close(samples.sums(rows), expected, rtol=1e-5, atol=1e-4)
    assert samples.sizes[:, 0].tolist() == [max(count, 1) for count in COUNTS]
    assert samples.table.shape[1] == BLOCK
    assert torch.equal(samples.spread(torch.arange(4.0)[:, None])[:, 0].long(), batch)
