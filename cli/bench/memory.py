"""Memory of a GPU: weights, and the peak of a step and of decoding, by batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from cli.bench.subjects import coarse_samples, coarse_stage, fine_samples, fine_stage
from models.precision import choose_dtype
from models.runtime import Runtime
from models.stages import CoarseStage, FineStage

GIB = 2**30


@dataclass(frozen=True)
class Use:
    """GiB that something took: what tensors held at most, and what was reserved from the GPU for them."""

    what: str
    samples: int
    allocated: float
    reserved: float


def weights(module: nn.Module) -> float:
    """GiB of a module's parameters."""
    return sum(value.numel() * value.element_size() for value in module.parameters()) / GIB


def measure(size: str, device: torch.device, batches: Sequence[int]) -> Iterator[Use]:
    """Weights of each stage, then peaks (weights of that stage included) of steps and of decoding."""
    runtime = Runtime(device, choose_dtype("auto", device))
    yield from _coarse(coarse_stage(size, runtime), batches)
    yield from _fine(fine_stage(size, runtime))


def _coarse(stage: CoarseStage, batches: Sequence[int]) -> Iterator[Use]:
    yield Use("coarse U-Net, weights", 0, weights(stage.unet), 0)
    yield Use("coarse decoder, weights", 0, weights(stage.decoder), 0)
    for count in batches:
        states = coarse_samples(stage, count)
        yield _peak("coarse step", count, partial(stage.denoise, states, 3), stage.release)
    yield _peak("coarse decoding", 1, partial(stage.decode, coarse_samples(stage, 1)), stage.release)


def _fine(stage: FineStage) -> Iterator[Use]:
    yield Use("fine U-Net, weights", 0, weights(stage.unet), 0)
    yield Use("fine decoder, weights", 0, weights(stage.decoder), 0)
    states = fine_samples(stage, 1)
    yield _peak("fine step", 1, partial(stage.denoise, states, 3), stage.release)
    yield _peak("fine decoding", 1, partial(stage.decode, states), stage.release)


def _peak(what: str, samples: int, work: Callable[[], object], release: Callable[[], None]) -> Use:
    release()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    use = Use(what, samples, torch.cuda.max_memory_allocated() / GIB, torch.cuda.max_memory_reserved() / GIB)
    release()
    return use
