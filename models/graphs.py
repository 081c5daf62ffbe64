"""What a GPU keeps between denoising steps: text keys and values, grids, and whole steps as CUDA graphs.

A step of a U-Net is hundreds of short kernels, and starting them one by one takes longer than running them. A CUDA
graph starts them all at once; its price is that sizes and addresses are fixed, so inputs are copied into place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor

from models.layers import TextContext

Layout = TypeVar("Layout")
Pool: TypeAlias = Any
"""What torch.cuda.graph_pool_handle gives."""


class Graph:
    """A function of tensors recorded once, and replayed with other values of the same shapes.

    Graphs that share a `pool` share memory, so only one of them may run at a time, and an output lasts until the next
    one runs.
    """

    def __init__(self, function: Callable[..., Tensor], inputs: Sequence[Tensor], pool: Pool) -> None:
        self._function = function  # owns tables and weights whose addresses are recorded
        self._inputs = [value.clone() for value in inputs]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            function(*self._inputs)  # compiles kernels and builds tables, which cannot be recorded
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._output = function(*self._inputs)

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

    def run(self, function: Callable[..., Tensor], inputs: Sequence[Tensor], pool: Pool | None) -> Tensor:
        """function(*inputs), as a graph if there is a pool for it. The function must be the same in every call."""
        if pool is None:
            return function(*inputs)
        if self._graph is None:
            self._graph = Graph(function, inputs, pool)
        return self._graph(*inputs)
