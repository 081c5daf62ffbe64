"""Stages on a GPU: what batches, graphs and memory may change, and what they may not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from models.graphs import Graph, Graphs
from models.kernels import OFF
from models.precision import choose_dtype
from models.runtime import Runtime
from models.shape import Voxels
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.text import TextEmbedding
from models.vae import unit_normals
from tests.support.tiny import coarse_stage, fine_stage, text

BF16, FP32 = torch.bfloat16, torch.float32


def on_gpu(dtype: torch.dtype, graphs: bool) -> Runtime:
    return Runtime(torch.device("cuda"), dtype, graphs=graphs)


def coarse_on_gpu(dtype: torch.dtype, graphs: bool = True) -> CoarseStage:
    cpu = coarse_stage()
    null = TextEmbedding(cpu.null)
    return CoarseStage(cpu.config, cpu.unet, cpu.decoder, cpu.scale_factor, null, on_gpu(dtype, graphs))


def fine_on_gpu(dtype: torch.dtype, graphs: bool = True) -> FineStage:
    cpu = fine_stage()
    return FineStage(cpu.config, cpu.unet, cpu.decoder, cpu.scale_factor, on_gpu(dtype, graphs))


def graphs_work(stage: CoarseStage | FineStage) -> bool:
    return all(lane.graphs is not None and lane.graphs.work for lane in stage.graphed)


def samples(stage: CoarseStage, count: int) -> list[DiffusionState]:
    return [stage.start(text(seed, 3 + seed % 5), seed=seed, steps=5 + seed % 3) for seed in range(count)]


def shape(size: int = 400) -> Voxels:
    cells = np.sort(np.random.default_rng(0).permutation(4096)[:size])
    ijk = np.stack((cells // 256, cells // 16 % 16, cells % 16), axis=1).astype(np.int16) - 8
    normal = np.random.default_rng(1).normal(size=(size, 3)).astype(np.float32)
    return Voxels(ijk, normal / np.linalg.norm(normal, axis=1, keepdims=True), 1 / 16)


@pytest.mark.parametrize("dtype", [BF16, FP32])
def test_a_sample_has_the_same_bits_alone_and_in_any_batch(dtype: torch.dtype) -> None:
    stage = coarse_on_gpu(dtype)
    states = samples(stage, 9)
    alone = [stage.denoise([state], 4)[0].x for state in states]
    for members in ((1, 0), (3, 2, 1, 0), (4, 8, 0), tuple(range(9))):
        for index, result in zip(members, stage.denoise([states[index] for index in members], 4), strict=True):
            assert torch.equal(result.x, alone[index])


def test_coarse_samples_share_batches_on_a_gpu_in_bf16() -> None:
    stage = coarse_on_gpu(BF16)
    assert stage.graphed[0].groups(samples(stage, 5)) == [[0, 1, 2, 3, 4]]


def test_a_small_fine_sample_has_the_same_bits_alone_and_in_any_batch() -> None:
    stage = fine_on_gpu(BF16)
    sizes = (300, 500, 257, 410, 512, 380, 333, 290, 444, 470)
    states = [stage.start(shape(size), text(size, 3 + size % 5), seed=size, steps=4 + size % 3) for size in sizes]
    assert len({stage.batch_key(state) for state in states}) == 1
    assert sorted(map(len, stage.graphed[0].groups(states))) == [2, 8]
    alone = [stage.denoise([state], 4)[0].x for state in states]
    for members in (range(10), (7, 1), (2, 9, 4), range(9, -1, -1), (5, 0)):
        for index, result in zip(members, stage.denoise([states[index] for index in members], 4), strict=True):
            assert torch.equal(result.x, alone[index])
    eager = fine_on_gpu(BF16, graphs=False)
    assert torch.equal(eager.denoise(states[:3], 4)[2].x, alone[2])


def test_fine_samples_of_other_sizes_are_not_held_up_by_each_other() -> None:
    stage = fine_on_gpu(BF16)
    states = [stage.start(shape(size), text(3), seed=size, steps=4) for size in (40, 700, 50, 3000, 1000)]
    assert sorted(stage.graphed[0].groups(states)) == [[0, 2], [1, 4], [3]]
    alone = [stage.denoise([state], 4)[0].x for state in states]
    assert all(torch.equal(a.x, b) for a, b in zip(stage.denoise(states, 4), alone, strict=True))


def test_the_same_voxels_with_other_normals_give_another_shape() -> None:
    stage, fresh = fine_on_gpu(BF16), fine_on_gpu(BF16)
    state = stage.start(shape(), text(3), seed=4, steps=3)
    assert state.normal is not None
    turned = replace(state, normal=-state.normal)
    first = stage.denoise([state], 3)[0].x
    assert torch.equal(stage.denoise([turned], 3)[0].x, fresh.denoise([turned], 3)[0].x)
    assert not torch.equal(first, stage.denoise([turned], 3)[0].x)


@pytest.mark.parametrize("dtype", [BF16, FP32])
def test_graphs_give_the_bits_that_single_kernels_give(dtype: torch.dtype) -> None:
    graphed, eager = coarse_on_gpu(dtype), coarse_on_gpu(dtype, graphs=False)
    states = samples(graphed, 3)
    for ours, theirs in zip(graphed.denoise(states, 9), eager.denoise(states, 9), strict=True):
        assert torch.equal(ours.x, theirs.x)
    state = fine_on_gpu(dtype).start(shape(), text(3), seed=4, steps=5)
    recorded, single = fine_on_gpu(dtype), fine_on_gpu(dtype, graphs=False)
    assert torch.equal(recorded.denoise([state], 5)[0].x, single.denoise([state], 5)[0].x)
    for stage in (graphed, recorded):
        assert graphs_work(stage)


def test_a_recorded_graph_sees_other_prompts_and_other_samples() -> None:
    stage, fresh = coarse_on_gpu(BF16), coarse_on_gpu(BF16, graphs=False)
    first, second = samples(stage, 2)
    stage.denoise([first], 3)
    assert torch.equal(stage.denoise([second], 3)[0].x, fresh.denoise([second], 3)[0].x)
    assert torch.equal(stage.denoise([first], 3)[0].x, fresh.denoise([first], 3)[0].x)


def test_slices_through_bytes_give_the_bits_of_a_run_in_one_piece() -> None:
    stage = coarse_on_gpu(BF16)
    state = stage.start(text(0), seed=1, steps=9, scheduler="dpm++")
    whole = stage.denoise([state], 9)[0]
    while not state.done:
        state = DiffusionState.from_bytes(stage.denoise([state], 2)[0].to_bytes())
    assert torch.equal(state.x, whole.x.cpu())


def test_float32_gives_the_shape_of_a_cpu() -> None:
    cpu, gpu = coarse_stage(), coarse_on_gpu(FP32)
    state = replace(cpu.start(text(0), seed=1, steps=6), guidance_scale=2.0)
    ours, theirs = gpu.denoise([state], 6)[0], cpu.denoise([state], 6)[0]
    torch.testing.assert_close(ours.x.cpu(), theirs.x, atol=1e-3, rtol=1e-3)
    a, b = gpu.decode([ours])[0], cpu.decode([theirs])[0]
    assert len(a) > 0
    assert overlap(a, b) > 0.99


def test_fused_kernels_predict_what_plain_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="the fused kernels need Triton")
    stage = fine_on_gpu(BF16, graphs=False)
    state = stage.start(shape(3000), text(3), seed=4, steps=5).to("cuda")
    with torch.inference_mode():
        fused = stage.predict(state, 400)
    monkeypatch.setattr("models.kernels.switches", OFF)
    with torch.inference_mode():
        plain = stage.predict(state, 400)
    assert not torch.equal(fused, plain)
    assert float((fused - plain).norm() / plain.norm()) < 0.02


@pytest.fixture
def no_memory() -> Iterator[None]:
    """Leaves this process next to nothing of the GPU, by its own limit: other programs notice nothing."""
    torch.cuda.empty_cache()
    used = torch.cuda.memory_reserved() / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, used + 1e-4))
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_after_running_out_of_memory_the_next_sample_succeeds(no_memory: None) -> None:
    stage = fine_on_gpu(BF16)
    large, small = (stage.start(shape(size), text(3), seed=4, steps=3) for size in (4096, 40))
    with pytest.raises(torch.OutOfMemoryError):
        stage.denoise([large] * 1, 3)
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert stage.denoise([small], 3)[0].done
    assert stage.denoise([large], 3)[0].done


def test_steps_are_recorded_again_after_memory_was_released() -> None:
    stage, untouched = coarse_on_gpu(BF16), coarse_on_gpu(BF16)
    states = samples(stage, 2)
    expected = untouched.denoise(states, 3)
    for _ in range(3):
        assert all(torch.equal(a.x, b.x) for a, b in zip(stage.denoise(states, 3), expected, strict=True))
        stage.release()
    assert graphs_work(stage)


def test_a_recording_that_fails_leaves_the_process_whole() -> None:
    value = torch.ones(1000, device="cuda")

    def waits() -> None:
        value.mul_(float(value.sum()))  # the CPU may not wait for a number while a graph is recorded

    for graphs in (Graphs(), Graphs()):
        with pytest.raises(RuntimeError):
            Graph(waits, [value], graphs)
        assert value.eq(1).all()
        assert float(torch.randn(100, device="cuda").std()) > 0.5
        count = torch.zeros(1, device="cuda")
        graph = Graph(lambda count=count: count.add_(1), [count], graphs)  # type: ignore[misc]
        graph()
        assert float(count) == 2
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    large = torch.ones(1 << 28, device="cuda")
    del large
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before  # the allocator serves from no pool any more


def test_shapes_of_about_a_size_share_a_recorded_step_and_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = []
    monkeypatch.setattr("models.graphs.Graph", lambda *parts: recorded.append(1) or Graph(*parts))
    stage = fine_on_gpu(BF16)
    states = [
        stage.start(shape(size), text(size, 2 + size % 7), seed=size, steps=4) for size in (3000, 2950, 2900, 2990)
    ]
    first = [stage.denoise([state], 4)[0].x for state in states]
    assert len(recorded) == 1
    again = stage.denoise(states[::-1], 4)[::-1]
    alone = [fine_on_gpu(BF16).denoise([state], 4)[0].x for state in states]
    for ours, later, theirs in zip(first, again, alone, strict=True):
        assert torch.equal(ours, later.x)
        assert torch.equal(ours, theirs)


def test_memory_does_not_grow_with_the_number_of_shapes() -> None:
    stage = fine_on_gpu(BF16)
    used = []
    for size in range(100, 140):
        stage.denoise([stage.start(shape(size), text(3), seed=4, steps=2)], 2)
        used.append(torch.cuda.memory_reserved())
    assert used[-1] <= used[19] * 1.1


def test_bf16_is_the_default_on_a_gpu() -> None:
    assert choose_dtype("auto", "cuda") is BF16
    assert choose_dtype("auto", "cpu") is FP32


def overlap(a: Voxels, b: Voxels) -> float:
    """Intersection over union of two voxel sets."""
    first, second = ({tuple(row) for row in voxels.ijk.tolist()} for voxels in (a, b))
    return len(first & second) / len(first | second)


def finished(stage: CoarseStage | FineStage, size: int = 300, seed: int = 4) -> DiffusionState:
    """A state that can be decoded."""
    if isinstance(stage, CoarseStage):
        return stage.denoise([stage.start(text(seed), seed=seed, steps=3)], 3)[0]
    return stage.denoise([stage.start(shape(size), text(seed), seed=seed, steps=3)], 3)[0]


@pytest.mark.parametrize("make", [coarse_on_gpu, fine_on_gpu])
def test_decoding_in_fixed_memory_gives_the_shape_that_the_plain_way_gives(make: Any) -> None:
    pytest.importorskip("triton", reason="the fused kernels need Triton")
    stage = make(BF16)
    for size in (300, 1700, 4096, 2):
        state = finished(stage, size, seed=size)
        (plain,) = stage.decode_raw([state])
        for _ in range(2):  # recorded, then replayed
            (ours,) = stage.decode([state])
            assert np.array_equal(ours.ijk, plain.grid.ijk.cpu().numpy())
            np.testing.assert_allclose(ours.normal, unit_normals(plain.normals).cpu().numpy(), atol=2e-3)
    assert stage._fixed_decoder.graphs.work


def test_a_decoded_shape_has_the_same_bits_whatever_was_decoded_before_it() -> None:
    stage, eager = fine_on_gpu(BF16), fine_on_gpu(BF16, graphs=False)
    states = [finished(stage, size, seed=size) for size in (300, 1700, 4096, 290, 1500)]
    alone = [fine_on_gpu(BF16).decode([state])[0] for state in states]
    for order in ((0, 1, 2, 3, 4), (2, 0, 4, 3, 1), (1, 1, 2, 4, 0)):
        for index in order:
            for ours in (stage.decode([states[index]])[0], eager.decode([states[index]])[0]):
                assert np.array_equal(ours.ijk, alone[index].ijk)
                assert np.array_equal(ours.normal, alone[index].normal)
        stage.release()


def test_a_level_that_keeps_nothing_ends_decoding_with_an_empty_shape() -> None:
    stage = fine_on_gpu(BF16)
    state = finished(stage)
    with torch.inference_mode():
        for head in stage.decoder.structure:
            head.out.weight.zero_()
            head.out.bias.copy_(torch.tensor([-1.0, 1.0]))
    assert len(stage.decode([state])[0]) == 0
