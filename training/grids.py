"""A sparse grid to train on: same results as the torch backend, with gradients written by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.grids.differentiable import DifferentiableGrid


class TrainingGrid(DifferentiableGrid):
    """`DifferentiableGrid` with the gradients of pooling too; grids derived from it are of the same kind."""

    def average_pool(self, features: Tensor) -> Tensor:
        """See `UNetGrid.average_pool`."""
        _, parent, children = self._coarse
        pooled: Tensor = _Collect.apply(features, parent, children)  # type: ignore[no-untyped-call]
        return pooled / 8

    def upsample(self, features: Tensor) -> Tensor:
        """See `UNetGrid.upsample`."""
        _, parent, children = self._coarse
        output: Tensor = _Expand.apply(features, parent, children)  # type: ignore[no-untyped-call]
        return output


class _Collect(torch.autograd.Function):
    """Sums of children: [N, C] -> [M, C]."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, parent: Tensor, children: Tensor) -> Tensor:
        ctx.save_for_backward(parent)
        return functional.pad(features, (0, 0, 0, 1))[children].sum(dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (parent,) = ctx.saved_tensors
        return gradient[parent], None, None


class _Expand(torch.autograd.Function):
    """Every child takes its parent's row: [M, C] -> [N, C]."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, parent: Tensor, children: Tensor) -> Tensor:
        ctx.save_for_backward(children)
        return features[parent]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (children,) = ctx.saved_tensors
        return functional.pad(gradient, (0, 0, 0, 1))[children].sum(dim=1), None, None
