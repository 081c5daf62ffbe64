"""Time of a denoising step, with everything on, with each optimisation off, and with none."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch

from cli.bench.subjects import coarse_samples, coarse_stage, fine_samples, fine_stage
from models import kernels, threads
from models.kernels import OFF, Switches
from models.runtime import Runtime
from models.stage import DiffusionStage
from models.state import DiffusionState


@dataclass(frozen=True)
class Variant:
    """One way of running a stage."""

    name: str
    dtype: torch.dtype
    graphs: bool
    switches: Switches
    lanes: bool = True


@dataclass(frozen=True)
class Measurement:
    """Milliseconds of one denoising step of a batch: median, fastest and slowest of the repetitions."""

    stage: str
    samples: int
    variant: str
    median: float
    fastest: float
    slowest: float


def variants(device: torch.device) -> list[Variant]:
    """The reference first, then everything on, then each optimisation off."""
    bf16, fp32, on = torch.bfloat16, torch.float32, Switches()
    if device.type == "cpu":
        return [
            Variant("fp32, one lane", fp32, False, OFF, lanes=False),
            Variant("fp32", fp32, False, OFF),
            Variant("bf16", bf16, False, OFF),
        ]
    return [
        Variant("fp32, nothing else", fp32, False, OFF),
        Variant("bf16, nothing else", bf16, False, OFF),
        Variant("all", bf16, True, on),
        Variant("all but graphs", bf16, False, on),
        Variant("all but fused convolution", bf16, True, replace(on, convolution=False)),
        Variant("all but fused products", bf16, True, replace(on, product=False)),
        Variant("all but fused attention", bf16, True, replace(on, attention=False)),
        Variant("all but fused norms", bf16, True, replace(on, normalisation=False)),
        Variant("all but fused GEGLU", bf16, True, replace(on, activation=False)),
        Variant("all but fused pooling", bf16, True, replace(on, pooling=False)),
        Variant("all but bf16", fp32, True, on),
    ]


def measure(
    size: str, device: torch.device, batches: Sequence[int], repetitions: int, steps: int
) -> Iterator[Measurement]:
    """Measures both stages, one batch size after the other, and the variants of a batch one after the other."""
    for dtype in (torch.float32, torch.bfloat16):
        ways = [variant for variant in variants(device) if variant.dtype is dtype]
        yield from _coarse(size, device, dtype, ways, batches, repetitions, steps)
        yield from _fine(size, device, dtype, ways, repetitions, steps)


def _coarse(
    size: str, device: torch.device, dtype: torch.dtype, ways: Sequence[Variant], batches: Sequence[int],
    repetitions: int, steps: int,
) -> Iterator[Measurement]:  # fmt: skip
    stage = coarse_stage(size, Runtime(device, dtype))
    for count in batches:
        yield from _side_by_side(stage, coarse_samples(stage, count), ways, repetitions, steps)


def _fine(
    size: str, device: torch.device, dtype: torch.dtype, ways: Sequence[Variant], repetitions: int, steps: int
) -> Iterator[Measurement]:
    stage = fine_stage(size, Runtime(device, dtype))
    yield from _side_by_side(stage, fine_samples(stage, 1), ways, repetitions, steps)


def _side_by_side(
    stage: DiffusionStage, states: list[DiffusionState], ways: Sequence[Variant], repetitions: int, steps: int
) -> Iterator[Measurement]:
    for way in ways:
        with _as(stage, way):
            _timed(lambda: stage.denoise(states, 3), stage.device)
            times = [
                1000 * _timed(lambda: stage.denoise(states, steps), stage.device) / steps for _ in range(repetitions)
            ]
        yield Measurement(stage.stage, len(states), way.name, statistics.median(times), min(times), max(times))


@contextmanager
def _as(stage: DiffusionStage, way: Variant) -> Iterator[None]:
    """Makes a stage run one way, batches as one even where that changes bits; drops the graphs of other ways."""
    switches, graphed = kernels.switches, stage.graphed
    graphs = [lane.graphs for lane in graphed]
    stage.release()
    kernels.switches = way.switches
    for lane in graphed:
        lane.graphs, lane.exact = lane.graphs if way.graphs else None, False
    try:
        with nullcontext() if way.lanes else threads.alone():
            yield
    finally:
        stage.release()
        kernels.switches = switches
        for lane, kept in zip(graphed, graphs, strict=True):
            lane.graphs, lane.exact = kept, True


def _timed(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
