"""A training step as one CUDA graph: losses and gradients of a function of tensors of fixed shapes.

The step of a small model is thousands of kernels of a few microseconds each. Starting them one by one takes ten times
as long as computing them, and a graph starts them all at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.graphs import Graph, Graphs
from training.engine import Losses

Compute = Callable[..., Losses]
"""Named losses of tensors; it must draw no random numbers, nor wait for the device."""


class Recorded:
    """Calls `compute`, recorded where the tensors are on a GPU and recording works; else it is just called.

    Recorded losses have no gradient function: the parameters' gradients are then in place already. `graphs`: those with
    which it shares memory, because only one of them works at a time.
    """

    def __init__(self, modules: nn.Module, compute: Compute, graphs: Graphs | None = None) -> None:
        self._compute = compute
        self._parameters = [parameter for parameter in modules.parameters() if parameter.requires_grad]
        self._graphs = graphs or Graphs()
        self._graph: Graph | None = None
        self._names: list[str] = []

    def __call__(self, *inputs: Tensor) -> Losses:
        """The losses of these tensors, whose shapes are those of the first call."""
        if not inputs[0].is_cuda or not self._graphs.work:
            return self._compute(*inputs)
        if self._graph is None:
            self._record(inputs)
            if self._graph is None:
                return self._compute(*inputs)
        torch._foreach_copy_(self._places, list(inputs))
        self._graph()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return dict(zip(self._names, self._losses.clone().unbind(), strict=True))

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._places = [value.clone() for value in inputs]
        self._gradients = [torch.zeros_like(parameter) for parameter in self._parameters]
        with torch.enable_grad():
            self._names = list(self._compute(*self._places))
        self._losses = torch.zeros(len(self._names), device=inputs[0].device)
        norm = torch.zeros((), device=inputs[0].device)

        def step() -> None:
            losses = torch.stack([value.float() for value in self._compute(*self._places).values()])
            found = torch.autograd.grad(losses.sum(), self._parameters)
            torch._foreach_copy_(self._gradients, list(found))
            self._losses.copy_(losses.detach())
            norm.copy_(torch.stack(torch._foreach_norm(self._gradients)).norm())

        self._graph = self._graphs.record(step, [self._losses, norm], "training steps are slower")
