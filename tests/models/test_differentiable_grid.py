from __future__ import annotations

import torch

from models.grids import TorchGrid
from models.grids.differentiable import DifferentiableGrid


def _voxels(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    full = TorchGrid.dense(4, batch_size=2)
    keep = torch.rand(len(full), generator=generator) < 0.5
    return full.ijk[keep], full.batch[keep]


def _pair() -> tuple[TorchGrid, DifferentiableGrid]:
    ijk, batch = _voxels(0)
    return TorchGrid.from_ijk(ijk, batch, 2), DifferentiableGrid.from_ijk(ijk, batch, 2)


def test_convolution_and_its_gradients_equal_those_of_the_torch_backend() -> None:
    reference, trained = _pair()
    generator = torch.Generator().manual_seed(1)
    results = []
    features = torch.randn(len(reference), 3, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, 3, 3, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(5, generator=generator, dtype=torch.float64)
    probe = torch.randn(len(reference), 5, generator=generator, dtype=torch.float64)
    for grid in (reference, trained):
        inputs = [value.clone().requires_grad_() for value in (features, weight, bias)]
        output = grid.conv3(*inputs)
        (output * probe).sum().backward()
        results.append([output.detach(), *(value.grad for value in inputs)])
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_derived_grids_keep_their_gradients() -> None:
    _, grid = _pair()
    fine, _ = grid.refine(torch.ones(len(grid), dtype=torch.bool))
    assert all(
        isinstance(derived, DifferentiableGrid) for derived in (grid.coarse(), fine, fine.prune(fine.batch == 0))
    )
