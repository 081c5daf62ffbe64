"""The noise of a sample, the same on every machine, backend and batch.

For (seed, stage, step) a BLAKE2b digest seeds a CPU generator, which draws one array [voxels, channels] in ascending
voxel order. The noise of step -1 is the initial latent. So a sample can be resumed at any step by anybody, and what
else runs beside it cannot change a bit of it.
"""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from models.state import DiffusionState
from models.tracing import named

INITIAL = -1
THREADS = 4
KEPT = 256
NUMBERS_AT_ONCE = 1 << 18
"""Numbers of a block at most, 1 MB; a step that needs more is a block by itself."""
MOST_AT_ONCE = 16


def noise(seed: int, stage: str, step: int, voxels: int, channels: int, out: Tensor | None = None) -> Tensor:
    """Standard normal noise, float32 [voxels, channels] on the CPU.

    seed: any integer, taken modulo 2 ** 64, so that a negative i64 and its u64 reading mean the same. step: `INITIAL`
    or the index of a denoising step. out: where to put it.
    """
    message = struct.pack("<Qq", seed % 2**64, step) + stage.encode()
    key = int.from_bytes(blake2b(message, digest_size=8, person=b"xcube-noise").digest(), "little")
    generator = torch.Generator().manual_seed(key)
    with named("noise"):
        # torch.randn is not prefix-stable: the whole array has to be drawn at once.
        return torch.randn(voxels, channels, generator=generator, out=out)


def steps_at_once(numbers: int) -> int:
    """Steps of a block, where each draws so many numbers."""
    return min(MOST_AT_ONCE, max(1, NUMBERS_AT_ONCE // max(1, numbers)))


@dataclass(frozen=True)
class Block:
    """The noise of some steps of a sample, [steps, voxels, channels], and the arguments of `noise` that make it."""

    seed: int
    stage: str
    first: int
    steps: int
    voxels: int
    channels: int

    @classmethod
    def around(cls, state: DiffusionState, step: int, drawn: Sequence[bool]) -> Block | None:
        """The block of a sample's step; None if no step from there on draws noise.

        drawn: which steps of its run do.
        """
        size = steps_at_once(state.x.numel())
        first = step // size * size
        wanted = [place for place, draws in enumerate(drawn[first : first + size], start=1) if draws]
        if not wanted or step >= first + wanted[-1]:
            return None
        return cls(state.seed, state.stage, first, wanted[-1], *state.x.shape)

    def draw(self, pinned: bool) -> Tensor:
        """The noise. pinned: see `NoiseAhead`."""
        drawn = torch.empty(self.steps, self.voxels, self.channels, pin_memory=pinned)
        for step, place in enumerate(drawn, start=self.first):
            noise(self.seed, self.stage, step, self.voxels, self.channels, out=place)
        return drawn


class NoiseAhead:
    """Noise drawn on other threads before it is needed: large shapes take milliseconds a step. Threads may share it.

    pinned: whether it goes into memory that a GPU can read by itself.
    """

    def __init__(self, pinned: bool) -> None:
        self._pinned = pinned
        self._threads = ThreadPoolExecutor(THREADS, "noise")
        self._ordered: OrderedDict[Block, Future[Tensor]] = OrderedDict()
        self._lock = threading.Lock()

    def order(self, block: Block) -> None:
        """Has a block drawn, unless it is ordered already."""
        with self._lock:
            if block not in self._ordered:
                self._ordered[block] = self._threads.submit(block.draw, self._pinned)
            while len(self._ordered) > KEPT:  # of samples that did not go on
                self._ordered.popitem(last=False)

    def take(self, block: Block, first: int, steps: int) -> Tensor:
        """The noise of some steps of a block, from step `first`; the whole block is kept until its last step is taken.

        A block that was not ordered is drawn now.
        """
        start = first - block.first
        with self._lock:
            last = start + steps >= block.steps
            ordered = self._ordered.pop(block, None) if last else self._ordered.get(block)
        drawn = block.draw(self._pinned) if ordered is None else ordered.result()
        return drawn[start : start + steps]

    def forget(self) -> None:
        """Frees what nobody took."""
        with self._lock:
            self._ordered.clear()
