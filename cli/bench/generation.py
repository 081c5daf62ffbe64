"""Whole generations, coarse and fine: seconds of each part, voxels, and the peak of the GPU's memory.

After those with the steps that were asked for come as many of the preset turbo. A student's step takes as long as its
teacher's without guidance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import torch

from cli.bench.subjects import WORDS, coarse_stage, embedding, fine_stage
from models.precision import choose_dtype
from models.presets import PRESETS, Preset
from models.runtime import Runtime
from models.stages import CoarseStage, FineStage

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One generation; the first of a process pays for compiling and recording."""

    number: int
    preset: str
    coarse_steps: float
    coarse_decoding: float
    fine_steps: float
    fine_decoding: float
    coarse_voxels: int
    fine_voxels: int
    peak_gib: float


def measure(size: str, device: torch.device, steps: int, runs: int) -> Iterator[Run]:
    """Generations from random prompts, one after the other, with both stages loaded; guided, then as turbo has them."""
    runtime = Runtime(device, choose_dtype("auto", device))
    coarse, fine = coarse_stage(size, runtime), fine_stage(size, runtime)
    for name, preset in (("", replace(PRESETS["standard"], steps=steps)), ("turbo", PRESETS["turbo"])):
        for number in range(1, runs + 1):
            yield _run(coarse, fine, number, name, preset)


def _run(coarse: CoarseStage, fine: FineStage, number: int, name: str, preset: Preset) -> Run:
    device, steps = coarse.device, preset.steps
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    text = embedding(WORDS, coarse.null.shape[1], number)
    state = coarse.start(text, seed=number, steps=steps, guidance_scale=preset.guidance_scale)
    states, coarse_steps = _timed(device, partial(coarse.denoise, [state], steps))
    shapes, coarse_decoding = _timed(device, partial(coarse.decode, states))
    shape = shapes[0]
    if not len(shape):
        return Run(number, name, coarse_steps, coarse_decoding, 0.0, 0.0, 0, 0, _peak(device))
    state = fine.start(shape, text, seed=number, steps=steps)
    states, fine_steps = _timed(device, partial(fine.denoise, [state], steps))
    fine_shapes, fine_decoding = _timed(device, partial(fine.decode, states))
    voxels = len(shape), len(fine_shapes[0])
    return Run(number, name, coarse_steps, coarse_decoding, fine_steps, fine_decoding, *voxels, _peak(device))


def _timed(device: torch.device, work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def _peak(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
