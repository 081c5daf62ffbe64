"""Sparse voxel grids against dense tensors, and at their edges: no voxel, one voxel, samples of different sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.errors import BackendError
from models.grids import FvdbGrid, Grid, TorchGrid, sort_voxels
from models.grids.fvdb_grid import library
from tests.support import stand_in_fvdb

SIDE = 10


@pytest.fixture(params=["torch", "fvdb", "fvdb's stand-in"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Grid]:
    """Every backend; fvdb itself where it can be imported."""
    if request.param == "torch":
        return TorchGrid
    if request.param == "fvdb":
        try:
            library()
        except BackendError as error:
            pytest.skip(str(error))
    else:
        monkeypatch.setattr("models.grids.fvdb_grid.library", lambda: stand_in_fvdb.MODULE)
    return FvdbGrid


def scattered(backend: type[Grid], seed: int, counts: tuple[int, ...]) -> Grid:
    """Random voxels within -5 … 4, so that both signs and many neighbours occur."""
    generator = torch.Generator().manual_seed(seed)
    cells = [torch.randperm(SIDE**3, generator=generator)[:count].sort()[0] for count in counts]
    ijk = torch.cat([torch.stack((c // SIDE**2, c // SIDE % SIDE, c % SIDE), 1) for c in cells]) - SIDE // 2
    return backend.from_ijk(ijk, torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)), len(counts))


def spread(seed: int) -> tuple[Tensor, Tensor, int]:
    """Voxels, samples and batch size: five samples, some without a voxel or with one, in clusters far from another."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for _ in range(5):
        count = (0, 1, 90)[int(torch.randint(3, (), generator=generator))]
        corners = torch.tensor([-8192, -4097, -130, -3, 0, 120, 4090])[
            torch.randint(7, (count, 3), generator=generator)
        ]
        parts.append(torch.unique(corners + torch.randint(6, (count, 3), generator=generator), dim=0))
    counts = torch.tensor([len(part) for part in parts])
    return torch.cat(parts), torch.arange(5).repeat_interleave(counts), 5


def to_dense(grid: Grid, features: Tensor) -> Tensor:
    """[N, C] -> [B, C, 10, 10, 10], zero where there is no voxel."""
    cube = torch.zeros(len(grid.counts), features.shape[1], SIDE, SIDE, SIDE, dtype=features.dtype)
    i, j, k = (grid.ijk.long() + SIDE // 2).T
    cube[grid.batch, :, i, j, k] = features
    return cube


def from_dense(grid: Grid, cube: Tensor) -> Tensor:
    i, j, k = (grid.ijk.long() + SIDE // 2).T
    return cube[grid.batch, :, i, j, k]


@pytest.mark.parametrize("counts", [(300,), (300, 0, 17), (1, 1), (1000, 5)])
def test_convolution_equals_a_dense_one_on_the_same_voxels(backend: type[Grid], counts: tuple[int, ...]) -> None:
    grid = scattered(backend, 0, counts)
    torch.manual_seed(1)
    features = torch.randn(len(grid), 6, dtype=torch.float64)
    weight, bias = torch.randn(5, 6, 3, 3, 3, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    dense = functional.conv3d(to_dense(grid, features), weight, bias, padding=1)
    torch.testing.assert_close(grid.conv3(features, weight, bias), from_dense(grid, dense))


def test_convolution_in_many_blocks_equals_one_in_few(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = scattered(TorchGrid, 2, (500, 100))
    features, weight = torch.randn(600, 8, dtype=torch.float64), torch.randn(4, 8, 3, 3, 3, dtype=torch.float64)
    whole = grid.conv3(features, weight)
    monkeypatch.setattr("models.threads.MOST_ROWS", 37)
    torch.testing.assert_close(grid.conv3(features, weight), whole)


@pytest.mark.parametrize("bias", [None, torch.randn(5, dtype=torch.float64)], ids=["no bias", "bias"])
@pytest.mark.parametrize("counts", [(300,), (300, 0, 17), (0, 1000, 5), (1, 1)])
@pytest.mark.parametrize("least", [1, 1 << 60], ids=["by taps", "gathered"])
def test_both_ways_without_gradients_equal_a_dense_convolution_in_many_blocks_as_in_one(
    monkeypatch: pytest.MonkeyPatch, least: int, counts: tuple[int, ...], bias: Tensor | None
) -> None:
    monkeypatch.setattr("models.grids.by_taps.LEAST_PRODUCTS", least)
    torch.manual_seed(1)
    grid = scattered(TorchGrid, 0, counts)
    features, weight = torch.randn(len(grid), 6).double(), torch.randn(5, 6, 3, 3, 3).double()
    dense = from_dense(grid, functional.conv3d(to_dense(grid, features), weight, bias, padding=1))
    with torch.no_grad():
        torch.testing.assert_close(grid.conv3(features, weight, bias), dense)
        monkeypatch.setattr("models.threads.MOST_ROWS", 20)
        torch.testing.assert_close(scattered(TorchGrid, 0, counts).conv3(features, weight, bias), dense)


@pytest.mark.parametrize(("rows", "kept", "not_made"), [(90, "neighbours", "_blocks"), (900, "_blocks", "neighbours")])
@torch.inference_mode()
def test_a_grid_keeps_the_one_table_that_its_size_asks_for(rows: int, kept: str, not_made: str) -> None:
    grid = scattered(TorchGrid, 0, (rows,))
    grid.conv3(torch.randn(rows, 32), torch.randn(32, 32, 3, 3, 3))
    assert kept in vars(grid)
    assert not_made not in vars(grid)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_half_and_is_rounded_once(
    backend: type[Grid], dtype: torch.dtype, gradients: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.grids.by_taps.LEAST_PRODUCTS", 1)
    grid = scattered(backend, 7, (700, 60))
    torch.manual_seed(8)
    features, weight = torch.randn(len(grid), 16).to(dtype), torch.randn(8, 16, 3, 3, 3).to(dtype)
    bias = torch.randn(8).to(dtype)
    dense = functional.conv3d(to_dense(grid, features.double()), weight.double(), bias.double(), padding=1)
    exact = from_dense(grid, dense), grid.average_pool(features.double())
    with torch.set_grad_enabled(gradients):
        outputs = grid.conv3(features, weight, bias), grid.average_pool(features)
    for output, expected in zip(outputs, exact, strict=True):
        assert output.dtype is dtype
        assert float((output - expected).norm() / expected.norm()) < 0.3 * torch.finfo(dtype).eps


@pytest.mark.parametrize("seed", range(6))
def test_backends_agree_on_scattered_batches_and_on_what_is_derived_from_them(backend: type[Grid], seed: int) -> None:
    """Across the tiles of fvdb's tree, with transposed weights and with every other channel of wider features."""
    ours, theirs = TorchGrid.from_ijk(*spread(seed)), backend.from_ijk(*spread(seed))
    torch.manual_seed(seed)
    for step in ("coarse", "refine", "prune", "end"):
        assert theirs.counts == ours.counts
        assert torch.equal(theirs.ijk, ours.ijk)
        assert torch.equal(theirs.batch, ours.batch)
        features = torch.randn(len(ours), 8, dtype=torch.float64)[:, ::2]
        weight = torch.randn(4, 3, 3, 3, 3, dtype=torch.float64).transpose(0, 1)
        torch.testing.assert_close(theirs.conv3(features, weight), ours.conv3(features, weight))
        torch.testing.assert_close(theirs.average_pool(features), ours.average_pool(features))
        keep = torch.rand(len(ours)) < 0.4
        if step == "refine":
            (ours, parents), (theirs, their_parents) = ours.refine(keep), theirs.refine(keep)
            assert torch.equal(their_parents, parents)
        elif step == "prune":
            ours, theirs = ours.prune(keep), theirs.prune(keep)
        elif step == "coarse":
            ours, theirs = ours.coarse(), theirs.coarse()


def test_the_stand_in_orders_voxels_and_rounds_as_the_library_does() -> None:
    try:
        modules = library(), stand_in_fvdb.MODULE
    except BackendError as error:
        pytest.skip(str(error))
    torch.manual_seed(9)
    ijk, batch, samples = spread(10)
    parts = [ijk[batch == sample].int()[torch.randperm(int((batch == sample).sum()))] for sample in range(samples)]
    features, weight = torch.randn(len(ijk), 6).bfloat16(), torch.randn(4, 6, 3, 3, 3).bfloat16()
    orders, outputs = [], []
    for module in modules:
        grid = module.GridBatch.from_ijk(module.JaggedTensor(parts))
        orders.append(grid.ijk.jdata)
        plan = module.ConvolutionPlan.from_grid_batch(3, 1, grid, grid)
        outputs.append(plan.execute(grid.jagged_like(features), weight).jdata)
    assert torch.equal(*orders)
    torch.testing.assert_close(*outputs, atol=2e-2, rtol=2**-7)


def test_average_pool_divides_by_eight_even_where_children_are_missing(backend: type[Grid]) -> None:
    grid = scattered(backend, 3, (200, 40))
    features = torch.randn(len(grid), 3, dtype=torch.float64)
    sums: dict[tuple[int, ...], Tensor] = {}
    for sample, ijk, row in zip(grid.batch.tolist(), grid.ijk.tolist(), features, strict=True):
        parent = (sample, *(index // 2 for index in ijk))
        sums[parent] = sums.get(parent, torch.zeros(3, dtype=torch.float64)) + row / 8
    coarse = grid.coarse()
    parents = [(b, *ijk) for b, ijk in zip(coarse.batch.tolist(), coarse.ijk.tolist(), strict=True)]
    assert parents == sorted(sums)
    torch.testing.assert_close(grid.average_pool(features), torch.stack([sums[parent] for parent in parents]))


def test_upsampling_gives_every_voxel_its_parents_value(backend: type[Grid]) -> None:
    grid = scattered(backend, 4, (100, 0, 50))
    coarse = grid.coarse()
    fine = grid.upsample(coarse.ijk.float())
    assert torch.equal(fine, (grid.ijk >> 1).float())


def test_refining_makes_eight_sorted_children_of_each_kept_voxel(backend: type[Grid]) -> None:
    grid = scattered(backend, 5, (60, 30))
    keep = torch.rand(len(grid)) < 0.5
    children, parents = grid.refine(keep)
    assert len(children) == 8 * int(keep.sum())
    assert torch.equal(children.ijk >> 1, grid.ijk[parents])
    assert torch.equal(children.batch, grid.batch[parents])
    assert torch.equal(sort_voxels(children.ijk, children.batch), torch.arange(len(children)))
    assert sum(children.counts) == len(children)


def test_pruning_keeps_order_and_counts(backend: type[Grid]) -> None:
    grid = scattered(backend, 6, (20, 10))
    keep = torch.arange(len(grid)) % 3 == 0
    pruned = grid.prune(keep)
    assert torch.equal(pruned.ijk, grid.ijk[keep])
    assert pruned.counts == (int(keep[:20].sum()), int(keep[20:].sum()))


def test_a_grid_without_voxels_goes_through_every_operation(backend: type[Grid]) -> None:
    grid = backend.from_ijk(torch.zeros(0, 3, dtype=torch.int32), torch.zeros(0, dtype=torch.int64), 2)
    none = torch.zeros(0, dtype=torch.bool)
    assert grid.counts == (0, 0)
    assert grid.conv3(torch.zeros(0, 4), torch.randn(5, 4, 3, 3, 3)).shape == (0, 5)
    assert grid.average_pool(torch.zeros(0, 4)).shape == (0, 4)
    assert grid.coarse().counts == grid.prune(none).counts == grid.refine(none)[0].counts == (0, 0)
    assert grid.rows_of(torch.tensor([[0, 0, 0]]), torch.tensor([0])).tolist() == [0]


def test_lookup_tells_absent_voxels_from_present_ones_and_samples_apart(backend: type[Grid]) -> None:
    grid = backend.from_ijk(torch.tensor([[0, 0, 0], [-3, 2, 1]]), torch.tensor([0, 1]))
    asked = torch.tensor([[0, 0, 0], [0, 0, 0], [-3, 2, 1], [9, 9, 9]])
    assert grid.rows_of(asked, torch.tensor([0, 1, 1, 1])).tolist() == [0, 2, 1, 2]


@pytest.mark.parametrize("ijk", [[[1, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[0, 0, 40000]]])
def test_unsorted_repeated_and_huge_voxels_are_refused(backend: type[Grid], ijk: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="voxel"):
        backend.from_ijk(torch.tensor(ijk))


def test_full_cubes_have_centred_indices(backend: type[Grid]) -> None:
    grid = backend.dense(4, 2)
    assert grid.counts == (64, 64)
    assert grid.ijk[:2].tolist() == [[-2, -2, -2], [-2, -2, -1]]
    assert grid.batch.tolist() == [0] * 64 + [1] * 64
