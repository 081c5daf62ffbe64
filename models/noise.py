"""The noise of a sample, the same on every machine, backend and batch.

For (seed, stage, step) a BLAKE2b digest seeds a CPU generator, which draws one array [voxels, channels] in ascending
voxel order. The noise of step -1 is the initial latent. So a sample can be resumed at any step by anybody, and what
else runs beside it cannot change a bit of it.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b

import torch
from torch import Tensor

INITIAL = -1
THREADS = 4
KEPT = 256
Draw = tuple[int, str, int, int, int]
"""Seed, stage, step, voxels and channels: the arguments of `noise`."""


def noise(seed: int, stage: str, step: int, voxels: int, channels: int, pinned: bool = False) -> Tensor:
    """Standard normal noise, float32 [voxels, channels] on the CPU.

    seed: any integer, taken modulo 2 ** 64, so that a negative i64 and its u64 reading mean the same. step: `INITIAL`
    or the index of a denoising step. pinned: in memory that a GPU can read by itself.
    """
    message = struct.pack("<Qq", seed % 2**64, step) + stage.encode()
    key = int.from_bytes(blake2b(message, digest_size=8, person=b"xcube-noise").digest(), "little")
    generator = torch.Generator().manual_seed(key)
    place = torch.empty(voxels, channels, pin_memory=True) if pinned else None
    # torch.randn is not prefix-stable: the whole array has to be drawn at once.
    return torch.randn(voxels, channels, generator=generator, out=place)


class NoiseAhead:
    """Noise drawn on other threads before it is needed: large shapes take milliseconds a step.

    pinned: see `noise`.
    """

    def __init__(self, pinned: bool) -> None:
        self._pinned = pinned
        self._threads: ThreadPoolExecutor | None = None
        self._ordered: OrderedDict[Draw, tuple[Future[list[Tensor]], int]] = OrderedDict()

    def order(self, draws: Sequence[Draw]) -> None:
        """Has these drawn, those of one call by one thread, unless they are ordered already."""
        missing = [draw for draw in draws if draw not in self._ordered]
        if not missing:
            return
        self._threads = self._threads or ThreadPoolExecutor(THREADS, "noise")
        drawing = self._threads.submit(self._draw, missing)
        self._ordered.update((draw, (drawing, place)) for place, draw in enumerate(missing))
        while len(self._ordered) > KEPT:  # of samples that did not go on
            self._ordered.popitem(last=False)

    def take(self, draw: Draw) -> Tensor:
        """What was ordered, or drawn now if it was not."""
        found = self._ordered.pop(draw, None)
        return noise(*draw, pinned=self._pinned) if found is None else found[0].result()[found[1]]

    def forget(self) -> None:
        """Frees what nobody took."""
        self._ordered.clear()

    def _draw(self, draws: Sequence[Draw]) -> list[Tensor]:
        return [noise(*draw, pinned=self._pinned) for draw in draws]
