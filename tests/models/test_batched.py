"""How a stage works with batches, as on a GPU. A CPU can do it too, with other last digits: so it is tested here."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import pytest
import torch

from models import graphs
from models.cache import LRUCache
from models.graphed_coarse import BUCKETS
from models.graphed_fine import GraphedFine
from models.shape import Voxels
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from tests.support.tiny import blocks, coarse_stage, fine_stage, mixed_states, shape, text

ALONE = coarse_stage()


def batched_coarse() -> CoarseStage:
    stage = coarse_stage()
    stage.run_together()
    return stage


def batched_fine() -> FineStage:
    stage = fine_stage()
    stage.run_together()
    return stage


def slots_of(stage: CoarseStage | FineStage) -> LRUCache[Any]:
    return stage.graphed[0].slots


def close(ours: list[DiffusionState], theirs: list[DiffusionState]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.step == b.step
        torch.testing.assert_close(a.x, b.x, atol=1e-3, rtol=1e-3)


def test_samples_that_differ_in_everything_share_a_batch() -> None:
    close(batched_coarse().denoise(mixed_states(), 5), ALONE.denoise(mixed_states(), 5))


def test_batches_are_padded_to_buckets_and_many_samples_take_several(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, rows = batched_coarse(), []
    forward = stage.unet.forward
    monkeypatch.setattr(stage.unet, "forward", lambda x, *others: (rows.append(len(x)), forward(x, *others))[1])
    states = [stage.start(text(0), seed=seed, steps=1, guidance_scale=1 + seed % 2) for seed in range(40)]
    stage.denoise(states[:5], 1)  # two of five are guided
    stage.denoise(states, 1)
    assert rows == [8, 64, 16]
    assert set(rows) <= set(BUCKETS)


def test_a_layout_takes_other_prompts_without_being_made_anew() -> None:
    stage = batched_coarse()
    for seed in (1, 2, 1):
        state = stage.start(text(seed, 3 + seed), seed=seed, steps=4)
        close(stage.denoise([state], 4), ALONE.denoise([state], 4))
    assert len(slots_of(stage)) == 1


def test_company_for_a_small_fine_sample_is_found_without_making_its_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a grid was made")

    monkeypatch.setattr(FineStage, "grid", refuse)
    monkeypatch.setattr(GraphedFine, "_kernels_exact", lambda _: True)
    stage = batched_fine()
    keys = [stage.batch_key(stage.start(example, text(1), seed=1, steps=1)) for example in blocks()]
    assert len(set(keys)) == len(keys)
    first, second, *_ = blocks()
    rest = Voxels(second.ijk[: len(first) + 1], second.normal[: len(first) + 1], second.voxel_size)
    assert stage.batch_key(stage.start(rest, text(1), seed=1, steps=1)) == keys[1]
    monkeypatch.setattr("models.graphed_fine.SMALL", len(first))
    assert stage.batch_key(stage.start(rest, text(1), seed=1, steps=1)) == ""


def test_fine_samples_keep_a_layout_each() -> None:
    stage, alone = batched_fine(), fine_stage()
    states = [stage.start(shape(), text(prompt), seed=prompt, steps=3) for prompt in (1, 2)]
    close(stage.denoise(states, 3), alone.denoise(states, 3))
    assert len(slots_of(stage)) == 1


@pytest.mark.parametrize("slices", [(24,), (1, 5, 18), (17, 7)])
def test_slices_of_any_length_in_any_lane_take_the_noise_of_their_steps(slices: tuple[int, ...]) -> None:
    stage, alone = coarse_stage(), ALONE
    stage.run_together(2)
    states = [stage.start(text(0), seed=1, steps=20), stage.start(text(1), seed=2, steps=30)]
    done = states
    for number, steps in enumerate(slices):
        with stage._lane() if number % 2 else nullcontext():  # so that the other lane goes on with it
            done = stage.denoise(done, steps)
    close(done, alone.denoise(states, 24))


def test_released_memory_is_made_again() -> None:
    stage = batched_fine()
    state = stage.start(shape(), text(1), seed=1, steps=3)
    first = stage.denoise([state], 3)[0]
    stage.release()
    assert len(slots_of(stage)) == len(stage._grids) == 0
    assert torch.equal(stage.denoise([state], 3)[0].x, first.x)


def test_where_recording_fails_steps_run_without_it_and_it_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(graphs, "Graph", fail)
    stage = batched_coarse()
    stage.graphed[0].graphs = graphs.Graphs()
    with caplog.at_level(logging.WARNING):
        close(stage.denoise(mixed_states(), 3), ALONE.denoise(mixed_states(), 3))
    assert [record.message for record in caplog.records] == [
        "steps are slower without CUDA graphs: operation not permitted when stream is capturing"
    ]


def test_graphs_share_a_pool_until_the_last_of_them_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorded:
        """Stands in for a graph, which only a GPU can record."""

    handles = iter([(0, 1), (0, 2)])
    monkeypatch.setattr("torch.cuda.graph_pool_handle", lambda: next(handles))
    shared = graphs.Graphs()
    first = Recorded()
    assert shared.pool == (0, 1)
    shared.keep(first)  # type: ignore[arg-type]
    assert shared.pool == (0, 1)
    del first
    assert shared.pool == (0, 2)


def test_running_out_of_memory_frees_what_can_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = batched_coarse()
    states = mixed_states()
    stage.denoise(states, 1)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(stage.unet, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        stage.denoise(states, 1)
    assert len(slots_of(stage)) == len(stage._digests) == 0
