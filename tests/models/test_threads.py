"""Work shared out to threads: everything is done once, in order, and to the same bits."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from models import threads
from models.grids import TorchGrid
from tests.support.tiny import coarse_stage, fine_stage, mixed_states, shape, text


@pytest.fixture(autouse=True)
def _two_lanes() -> Iterator[None]:
    threads.use(2)
    yield
    threads.use(1)


@torch.inference_mode()
def test_two_pieces_are_worked_on_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)
    assert len(set(threads.share(lambda _: (both.wait(), threading.get_ident())[1], [1, 2]))) == 2


@torch.inference_mode()
def test_results_come_in_the_order_of_the_items() -> None:
    assert threads.share(lambda item: item * item, range(101)) == [item * item for item in range(101)]


@torch.inference_mode()
def test_what_a_piece_shares_is_done_by_its_own_thread() -> None:
    def piece(_: int) -> set[int]:
        return {threading.get_ident(), *threads.share(lambda _: threading.get_ident(), range(4))}

    assert [len(idents) for idents in threads.share(piece, range(4))] == [1] * 4


@torch.inference_mode()
def test_a_last_item_that_would_leave_a_lane_idle_is_shared_itself() -> None:
    assert threads.share(lambda _: threads.lanes(), range(5)) == [1, 1, 1, 1, 2]
    assert threads.lanes() == 2


@torch.inference_mode()
def test_an_error_in_a_piece_is_raised_and_nothing_more_begins() -> None:
    begun = []

    def fail(item: int) -> None:
        begun.append(item)
        raise ValueError(f"piece {item}")

    with pytest.raises(ValueError, match="piece"):
        threads.share(fail, range(100))
    assert len(begun) <= 2
    assert threads.share(str, [1, 2]) == ["1", "2"]


def test_lanes_compute_without_gradients_like_their_caller_and_are_not_used_where_gradients_are_wanted() -> None:
    assert threads.lanes() == 1
    with torch.inference_mode():
        assert all(threads.share(lambda _: torch.is_inference_mode_enabled(), [1, 2]))
    with torch.no_grad():
        assert not any(threads.share(lambda _: torch.is_grad_enabled() or torch.is_inference_mode_enabled(), [1, 2]))


@pytest.mark.parametrize(("count", "lanes", "size"), [(1, 1, 1), (2, 2, 1), (3, 2, 1), (4, 2, 2), (9, 2, 4)])
def test_cpu_threads_become_lanes_of_equal_size(count: int, lanes: int, size: int) -> None:
    threads.use(count)
    with torch.inference_mode():
        assert threads.lanes() == lanes
        assert threads.share(lambda _: torch.get_num_threads(), range(2)) == [size, size]


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 1023, 1024, 1025, 1301, 50_000])
def test_blocks_are_of_one_size_small_and_as_many_as_lanes_can_take(rows: int) -> None:
    blocks = torch.empty(rows, 1).split(threads.block_size(rows))
    assert max(len(block) for block in blocks) <= threads.MOST_ROWS
    assert len(blocks) == 1 if rows < 256 else len(blocks) % 2 == 0


def test_shapes_have_the_same_bits_however_many_lanes_there_are() -> None:
    def run(count: int) -> list[np.ndarray]:
        threads.use(count)
        coarse, fine = coarse_stage(), fine_stage()
        denoised = coarse.denoise(mixed_states(), 5)
        finished = coarse.denoise([coarse.start(text(0), seed=1, steps=2)], 2)
        refined = fine.denoise([fine.start(shape(), text(seed), seed=seed, steps=2) for seed in (1, 2, 3)], 2)
        voxels = [*coarse.decode(finished), *fine.decode(refined)]
        return [state.x.numpy() for state in denoised + refined] + [a for v in voxels for a in (v.ijk, v.normal)]

    for alone, together in zip(run(1), run(2), strict=True):
        np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("least", [1, 1 << 60], ids=["by taps", "gathered"])
@torch.inference_mode()
def test_a_convolution_over_many_blocks_has_the_same_bits_however_many_lanes_there_are(
    monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr("models.grids.by_taps.LEAST_PRODUCTS", least)
    generator = torch.Generator().manual_seed(1)
    grid = TorchGrid.dense(14)
    features, weight = (
        torch.randn(len(grid), 16, generator=generator),
        torch.randn(24, 16, 3, 3, 3, generator=generator),
    )
    together = grid.conv3(features, weight)
    threads.use(1)
    assert torch.equal(together, grid.conv3(features, weight))
