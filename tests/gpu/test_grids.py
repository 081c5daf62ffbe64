"""Sparse grids on a GPU have the tables that they have on a CPU."""

from __future__ import annotations

import pytest
import torch

from models.grids import TorchGrid, unwaiting
from models.grids.ordering import sort_voxels


def grid(voxels: int, side: int, device: str) -> TorchGrid:
    generator = torch.Generator().manual_seed(voxels)
    ijk = torch.unique(torch.randint(-side, side, (voxels, 3), generator=generator), dim=0)
    return TorchGrid.from_ijk(ijk[sort_voxels(ijk)].to(device))


@pytest.mark.parametrize("at_once", [1, 1 << 18], ids=["tap by tap", "all taps at once"])
@pytest.mark.parametrize(("voxels", "side"), [(1, 4), (900, 6), (9000, 40)])
def test_neighbours_are_those_found_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, at_once: int, voxels: int, side: int
) -> None:
    monkeypatch.setattr(unwaiting, "MOST_AT_ONCE", at_once)
    ours, reference = grid(voxels, side, "cuda"), grid(voxels, side, "cpu")
    for _ in range(3):
        assert torch.equal(ours.neighbours.cpu(), reference.neighbours)
        assert torch.equal(ours.taps.cpu(), reference.taps)
        ours, reference = ours.coarse(), reference.coarse()
        assert torch.equal(ours.ijk.cpu(), reference.ijk)
