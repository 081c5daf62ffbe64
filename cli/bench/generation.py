"""Whole generations, coarse and fine: seconds of each part, voxels, and the peak of the GPU's memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch

from cli.bench.subjects import WORDS, coarse_stage, embedding, fine_stage
from models.precision import choose_dtype
from models.runtime import Runtime

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One generation; the first of a process pays for compiling and recording."""

    number: int
    coarse_steps: float
    coarse_decoding: float
    fine_steps: float
    fine_decoding: float
    coarse_voxels: int
    fine_voxels: int
    peak_gib: float


def measure(size: str, device: torch.device, steps: int, runs: int) -> Iterator[Run]:
    """Generations from random prompts, guided, one after the other, with both stages loaded."""
    runtime = Runtime(device, choose_dtype("auto", device))
    coarse, fine = coarse_stage(size, runtime), fine_stage(size, runtime)
    for number in range(1, runs + 1):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        text = embedding(WORDS, coarse.null.shape[1], number)
        state = coarse.start(text, seed=number, steps=steps)
        states, coarse_steps = _timed(device, partial(coarse.denoise, [state], steps))
        shapes, coarse_decoding = _timed(device, partial(coarse.decode, states))
        shape = shapes[0]
        if not len(shape):
            yield Run(number, coarse_steps, coarse_decoding, 0.0, 0.0, 0, 0, _peak(device))
            continue
        state = fine.start(shape, text, seed=number, steps=steps)
        states, fine_steps = _timed(device, partial(fine.denoise, [state], steps))
        fine_shapes, fine_decoding = _timed(device, partial(fine.decode, states))
        voxels = len(shape), len(fine_shapes[0])
        yield Run(number, coarse_steps, coarse_decoding, fine_steps, fine_decoding, *voxels, _peak(device))


def _timed(device: torch.device, work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def _peak(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
