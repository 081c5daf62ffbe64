"""Whole denoising steps as CUDA graphs.

A step of a U-Net is hundreds of short kernels, and starting them one by one takes longer than running them. A CUDA
graph starts them all at once; its price is that sizes and addresses are fixed, so a step works in fixed memory.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakSet

import torch
from torch import Tensor

from models.tracing import named

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

log = logging.getLogger("xcube.graphs")
LARGEST_ERROR = 0.02
_recording = threading.Lock()
"""A GPU takes one record at a time."""


class Graphs:
    """The graphs of a stage: the memory that they share, and whether graphs work on this machine."""

    def __init__(self) -> None:
        self.work = True
        self._alive: WeakSet[Graph] = WeakSet()
        self._pool: _POOL_HANDLE | None = None

    @property
    def pool(self) -> _POOL_HANDLE:
        """The memory that the next graph shares with those alive; PyTorch forgets a pool with its last graph."""
        if self._pool is None or not self._alive:
            self._pool = torch.cuda.graph_pool_handle()
        return self._pool

    def record(self, function: Callable[[], None], changed: Sequence[Tensor], slower: str) -> Graph | None:
        """A graph of a function, which has run once then; None, and no more graphs, where recording does not work here.

        Args:
            function: See `Graph`.
            changed: See `Graph`.
            slower: What the log says of work without graphs, such as "steps are slower".

        Raises:
            torch.OutOfMemoryError: Memory does not suffice.
        """
        try:
            return Graph(function, changed, self)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.warning("%s without CUDA graphs: %s", slower, str(error).partition("\n")[0])
            self.work = False
            return None

    def keep(self, graph: Graph) -> None:
        """Takes a graph in that was recorded in `pool`; it stays as long as somebody else has it."""
        self._alive.add(graph)


class Graph:
    """A function that works in fixed memory, recorded once to be replayed; it is run once on the way.

    changed: what the function changes. Graphs of the same `graphs` share the memory of what they compute in between,
    so only one of them may run at a time. Raises RuntimeError if the function cannot be recorded, or if the record
    gives other results; torch.OutOfMemoryError if memory does not suffice. After either, `changed` is as it was, and
    the process can go on.
    """

    def __init__(self, function: Callable[[], None], changed: Sequence[Tensor], graphs: Graphs) -> None:
        self._function = function  # owns tables and weights whose addresses are recorded
        self._graph = torch.cuda.CUDAGraph()
        with _recording:
            self._prepare(function, changed, graphs)
        graphs.keep(self)

    def _prepare(self, function: Callable[[], None], changed: Sequence[Tensor], graphs: Graphs) -> None:
        before = [value.clone() for value in changed]
        current = torch.cuda.current_stream()
        # The default stream records nothing. Any other must be the caller's own: PyTorch gives out the same ones again.
        aside = torch.cuda.Stream() if current == torch.cuda.default_stream() else current
        try:
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                function()  # compiles kernels and builds tables, which cannot be recorded
                expected = [value.clone() for value in changed]
                _restore(changed, before)
            torch.cuda.synchronize()
            with torch.cuda.stream(aside):
                _record(self._graph, function, graphs.pool)
            self._graph.replay()
            for value, wanted in zip(changed, expected, strict=True):
                _compare(value, wanted)
        except RuntimeError:
            torch.cuda.synchronize()
            _restore(changed, before)
            raise

    def __call__(self) -> None:
        """Replays the recorded step on what is in its fixed memory now."""
        with named("replay"):
            self._graph.replay()


def _restore(changed: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    for place, value in zip(changed, before, strict=True):
        place.copy_(value)


def _compare(value: Tensor, wanted: Tensor) -> None:
    norm = wanted.double().norm()
    error = float((value.double() - wanted.double()).norm())
    if bool(norm.isfinite()) and not error <= LARGEST_ERROR * float(norm):
        raise RuntimeError(f"a recorded step is off by {error:.2g}, where its result has a norm of {float(norm):.2g}")


def _record(graph: torch.cuda.CUDAGraph, function: Callable[[], None], pool: _POOL_HANDLE) -> None:
    """Records a function into a graph, on the current stream, which is not the default one."""
    try:
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        function()
        graph.capture_end()
    except BaseException:
        _abandon(graph, pool)
        raise


def _abandon(graph: torch.cuda.CUDAGraph, pool: _POOL_HANDLE) -> None:
    """Ends a recording that failed.

    Where the driver has already given it up, PyTorch leaves two things behind, and each breaks what comes later: the
    allocator goes on serving from the pool, and CUDA's random numbers wait for the recording to go on.
    """
    try:
        graph.capture_end()
    except RuntimeError:
        device = torch.cuda.current_device()
        for leave in (torch._C._cuda_endAllocateToPool, torch._C._cuda_releasePool):
            with contextlib.suppress(RuntimeError):
                leave(device, pool)
        generator = torch.cuda.default_generators[device]
        generator.graphsafe_set_state(generator.clone_state())
