"""A trace names stages and blocks as the paper does, whoever takes it, and costs nothing when nobody does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from time import perf_counter

import pytest
import torch
from torch.autograd import profiler
from torch.profiler import ProfilerActivity

from models import threads, tracing
from models.config import TextConfig
from models.text import TextEncoder
from models.tracing import named
from tests.support import tiny

TRANSFORMER = ["self-attention", "text attention", "feed-forward"]


def names_of(work: Callable[[], object]) -> list[str]:
    """The names in a trace of some work, in the order in which they begin; the outer one first."""
    # A trace sees this thread alone, and other threads take parts of the work when they are quick enough.
    with threads.alone(), torch.profiler.profile(activities=[ProfilerActivity.CPU]) as trace:
        work()
    events = [event for event in trace.events() if event.is_user_annotation]
    return [event.name for event in sorted(events, key=lambda event: (event.time_range.start, -event.time_range.end))]


def blocks(names: list[str], stage: str) -> list[str]:
    """Where in the U-Net a trace has been, without repetitions."""
    inside = [name.split("/")[2] for name in names if name.startswith(f"{stage}/unet/")]
    return [block for block, _ in groupby(inside)]


def test_a_coarse_step_reads_like_the_architecture() -> None:
    stage = tiny.coarse_stage()
    state = stage.start(tiny.text(0), seed=1, steps=4, guidance_scale=1.0)
    names = names_of(lambda: stage.denoise([state], 1))
    assert names[:8] == [
        "coarse/step", "coarse/unet/down 0/convolution", "coarse/unet/down 0/residual",
        "coarse/unet/down 0/transformer", *TRANSFORMER, "coarse/unet/down 0/downsample",
    ]  # fmt: skip
    assert blocks(names, "coarse") == ["down 0", "down 1", "middle", "up 1", "up 0", "out"]
    assert names[-2:] == ["coarse/unet/out", "noise"]


def test_a_fine_step_reads_like_the_architecture() -> None:
    stage = tiny.fine_stage()
    state = stage.start(tiny.shape(), tiny.text(0), seed=1, steps=4)
    names = names_of(lambda: stage.denoise([state], 1))
    assert names[:4] == [
        "fine/step", "fine/unet/down 0/convolution", "fine/unet/down 0/residual", "fine/unet/down 0/transformer"
    ]  # fmt: skip
    assert blocks(names, "fine") == ["down 0", "down 1", "middle", "up 1", "up 0", "out"]
    assert {"text attention", "feed-forward", "fine/unet/down 0/downsample", "fine/unet/up 1/upsample"} < set(names)


def test_guidance_runs_what_depends_on_the_text_twice() -> None:
    stage = tiny.coarse_stage()
    state = stage.start(tiny.text(0), seed=1, steps=4, guidance_scale=2.0)
    names = names_of(lambda: stage.denoise([state], 1))
    assert blocks(names, "coarse").count("middle") == 2
    assert names.count("coarse/unet/down 0/convolution") == 1


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_decoding_names_its_levels(stage: str) -> None:
    coarse, fine = tiny.coarse_stage(), tiny.fine_stage()
    if stage == "coarse":
        states = coarse.denoise([coarse.start(tiny.text(0), seed=1, steps=1)], 1)
        names, decoder = names_of(lambda: coarse.decode(states)), coarse.decoder
    else:
        states = fine.denoise([fine.start(tiny.shape(), tiny.text(0), seed=1, steps=1)], 1)
        names, decoder = names_of(lambda: fine.decode(states)), fine.decoder
    levels = [f"level {level}" for level in range(len(decoder.structure))]
    assert len(levels) > 1
    assert names == [f"{stage}/decode/{part}" for part in ("bottleneck", *levels, "normals")]


def test_steps_of_a_batch_in_fixed_memory_are_named() -> None:
    stage = tiny.coarse_stage()
    stage.run_together()
    states = [stage.start(tiny.text(seed), seed=seed, steps=4) for seed in (1, 2)]
    names = names_of(lambda: stage.denoise(states, 2))
    assert names.count("coarse/step") == 2
    assert names.count("coarse/unet/out") == 2


def test_the_text_tower_is_named() -> None:
    tower = TextEncoder(TextConfig(width=16, heads=2, layers=2))
    assert names_of(lambda: tower.encode(["a chair"])) == ["text/clip"]


def test_under_nsight_systems_names_are_nvtx_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(tracing, "_under_nsight", True)
    monkeypatch.setattr("torch.cuda.nvtx.range_push", calls.append)
    monkeypatch.setattr("torch.cuda.nvtx.range_pop", lambda: calls.append("end"))
    with named("fine/step"), named("noise"):
        pass
    assert calls == ["fine/step", "noise", "end", "end"]


def test_a_name_that_nobody_reads_costs_far_less_than_one_in_a_trace() -> None:
    assert not profiler._is_profiler_enabled

    def seconds(enter: Callable[[str], object]) -> float:
        best = float("inf")
        for _ in range(5):
            start = perf_counter()
            for _ in range(2000):
                with enter("coarse/step"):  # type: ignore[attr-defined]
                    pass
            best = min(best, perf_counter() - start)
        return best

    assert 4 * seconds(named) < seconds(profiler.record_function)
