"""Grids made without knowing how many voxels there are, beside those of `TorchGrid`, which knows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.grids import TorchGrid, sort_voxels, unwaiting
from models.grids.ordering import voxel_keys
from models.grids.unwaiting import NONE, children, chosen, neighbour_taps


def some_voxels(voxels: int, side: int) -> Tensor:
    generator = torch.Generator().manual_seed(voxels)
    ijk = torch.unique(torch.randint(-side, side, (voxels, 3), generator=generator), dim=0)
    return ijk[sort_voxels(ijk)]


def with_room(keys: Tensor, room: int, rest: int = NONE) -> Tensor:
    return torch.cat((keys, torch.full((room - len(keys),), rest)))


@pytest.mark.parametrize("at_once", [1, 1 << 18], ids=["tap by tap", "all taps at once"])
@pytest.mark.parametrize(("voxels", "side"), [(1, 4), (900, 6), (3000, 32767)])
def test_room_for_more_voxels_changes_no_neighbour(
    monkeypatch: pytest.MonkeyPatch, at_once: int, voxels: int, side: int
) -> None:
    monkeypatch.setattr(unwaiting, "MOST_AT_ONCE", at_once)
    grid = TorchGrid.from_ijk(some_voxels(voxels, side).clamp(-32766, 32766).unique(dim=0))
    count, room = len(grid), len(grid) + 77
    expected = grid.neighbours.T
    assert torch.equal(neighbour_taps(grid.keys).long(), expected)
    taps = neighbour_taps(with_room(grid.keys, room))
    assert taps.is_contiguous()
    assert torch.equal(taps[:, :count].long(), torch.where(expected == count, room, expected))


def test_children_of_so_many_voxels_are_those_of_a_refined_grid() -> None:
    ijk = some_voxels(500, 9)
    grid = TorchGrid.from_ijk(ijk)
    finer, parents = grid.refine(torch.ones(len(grid), dtype=torch.bool))
    stale = with_room(grid.keys, len(grid) + 30, int(grid.keys[3]))  # what the room held before
    keys, rows = children(stale, torch.tensor([len(grid)], dtype=torch.int32))
    assert torch.equal(keys[: len(finer)], finer.keys)
    assert torch.equal(rows[: len(finer)], parents)
    assert bool((keys[len(finer) :] == NONE).all())
    assert int(rows.max()) < len(stale)


def test_children_at_the_edge_of_what_a_key_can_hold() -> None:
    ijk = torch.tensor([[-16383, 16382, 0], [16382, -16383, -1]])
    keys, _ = children(voxel_keys(ijk), torch.tensor([2], dtype=torch.int32))
    finer, _ = TorchGrid.from_ijk(ijk).refine(torch.tensor([True, True]))
    assert torch.equal(keys, finer.keys)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_chosen_rows_are_those_that_are_kept(share: float) -> None:
    keep = torch.rand(1000, generator=torch.Generator().manual_seed(0)) < share
    rows, count = chosen(keep)
    expected = keep.nonzero()[:, 0]
    assert count.dtype is torch.int32
    assert int(count) == len(expected)
    assert torch.equal(rows[: len(expected)], expected)
    assert bool((rows[len(expected) :] == len(keep)).all())
