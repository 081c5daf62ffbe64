from __future__ import annotations

import pytest
import torch

from models.grids import TorchGrid
from training.grids import TrainingGrid


def _voxels(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    full = TorchGrid.dense(4, batch_size=2)
    keep = torch.rand(len(full), generator=generator) < 0.5
    return full.ijk[keep], full.batch[keep]


def _pair() -> tuple[TorchGrid, TrainingGrid]:
    ijk, batch = _voxels(0)
    return TorchGrid.from_ijk(ijk, batch, 2), TrainingGrid.from_ijk(ijk, batch, 2)


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


@pytest.mark.parametrize("operation", ["average_pool", "upsample"])
def test_resampling_and_its_gradient_equal_those_of_the_torch_backend(operation: str) -> None:
    results = []
    for grid in _pair():
        rows = len(grid) if operation == "average_pool" else len(grid.coarse())
        features = torch.randn(rows, 3, generator=torch.Generator().manual_seed(2), requires_grad=True)
        output = getattr(grid, operation)(features)
        output.square().sum().backward()
        results.append((output.detach(), features.grad))
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_derived_grids_keep_their_gradients() -> None:
    _, grid = _pair()
    fine, _ = grid.refine(torch.ones(len(grid), dtype=torch.bool))
    assert all(isinstance(derived, TrainingGrid) for derived in (grid.coarse(), fine, fine.prune(fine.batch == 0)))
