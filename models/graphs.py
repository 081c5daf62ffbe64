"""What a GPU keeps between denoising steps: text keys and values, grids, and whole steps as CUDA graphs.

A step of a U-Net is hundreds of short kernels, and starting them one by one takes longer than running them. A CUDA
graph starts them all at once; its price is that sizes and addresses are fixed, so inputs are copied into place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from models.layers import TextContext

log = logging.getLogger("xcube.graphs")
Layout = TypeVar("Layout")
LARGEST_ERROR = 0.02


class Graphs:
    """The memory that all graphs of a stage share, and whether graphs work on this machine."""

    def __init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle()
        self.work = True


class Graph:
    """A function of tensors recorded once, and replayed with other values of the same shapes.

    Graphs that share a `pool` share memory, so only one of them may run at a time, and an output lasts until the next
    one runs. Raises RuntimeError if the function cannot be recorded, or if the record gives other results.
    """

    def __init__(self, function: Callable[..., Tensor], inputs: Sequence[Tensor], graphs: Graphs) -> None:
        self._function = function  # owns tables and weights whose addresses are recorded
        self._inputs = [value.clone() for value in inputs]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            expected = function(*self._inputs)  # compiles kernels and builds tables, which cannot be recorded
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=graphs.pool, capture_error_mode="thread_local"):
            self._output = function(*self._inputs)
        self._graph.replay()
        error = float((self._output - expected).norm() / expected.norm())
        if expected.isfinite().all() and not error < LARGEST_ERROR:
            raise RuntimeError(f"a recorded step is off by {error:.2g}")

    def __call__(self, *values: Tensor) -> Tensor:
        for place, value in zip(self._inputs, values, strict=True):
            place.copy_(value, non_blocking=True)
        self._graph.replay()
        return self._output


class Slot(Generic[Layout]):
    """One layout of samples on a GPU (how many rows, or which voxels), and all that stays the same for it."""

    def __init__(self, layout: Layout, context: TextContext, texts: Hashable) -> None:
        self.layout = layout
        self.context = context
        self._texts = texts
        self._graph: Graph | None = None

    def read(self, texts: Hashable, tokens: Callable[[], tuple[Tensor, Tensor]]) -> None:
        """Takes other texts, `tokens()`, unless they are those it has; `texts` is their name."""
        if texts != self._texts:
            self.context.refill(*tokens())
            self._texts = texts

    def run(self, function: Callable[..., Tensor], inputs: Sequence[Tensor], graphs: Graphs | None) -> Tensor:
        """function(*inputs), as a graph if there are graphs. The function must be the same in every call."""
        if graphs is None or not graphs.work:
            return function(*inputs)
        if self._graph is None:
            try:
                self._graph = Graph(function, inputs, graphs)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                log.warning("steps are slower without CUDA graphs: %s", str(error).partition("\n")[0])
                graphs.work = False
                return function(*inputs)
        return self._graph(*inputs)
