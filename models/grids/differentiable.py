"""A sparse grid through which gradients flow, written by hand.

Automatic differentiation would keep every gathered block [N, 27 * Cin] for the backward pass and scatter into it with
atomic additions. Here the backward pass of a convolution is a convolution too (on the same neighbours, the taps in
reverse), and blocks are gathered again instead of kept. In bfloat16 on a GPU kernels gather without any block, which
takes a fraction of the time.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from models import kernels
from models.grids.samples import Samples
from models.grids.torch_grid import TorchGrid
from models.grids.unwaiting import TAPS

BLOCK_BYTES = 1 << 30
SLICE_ROWS = 4096


class Neighbours(Protocol):
    """The neighbours of a grid's voxels, N for none: int64 [N, 27], and int32 by taps [27, N]."""

    @property
    def neighbours(self) -> Tensor:
        """By voxels."""

    @property
    def taps(self) -> Tensor:
        """By taps."""


class DifferentiableGrid(TorchGrid):
    """`TorchGrid` with gradients of convolutions and norms; grids derived from it are of the same kind."""

    @cached_property
    def samples(self) -> Samples:
        """See `UNetGrid.samples`."""
        return Samples.of(self.batch, len(self.counts))

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `UNetGrid.conv3`."""
        if not torch.is_grad_enabled() and features.dtype == weight.dtype:
            return super().conv3(features, weight, bias)
        return convolve(self, features, weight, bias)


def convolve(grid: Neighbours, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`UNetGrid.conv3` with gradients, in the precision of autocast."""
    packed = weight.permute(2, 3, 4, 1, 0).reshape(-1, weight.shape[0])
    device = features.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, packed = features.to(dtype), packed.to(dtype)
    output: Tensor = _Conv3.apply(features, packed, grid)  # type: ignore[no-untyped-call]
    return output if bias is None else output + bias.to(output.dtype)


def _fused(features: Tensor) -> bool:
    return 0 < features.numel() < 2**31 and kernels.trains(features)


def _blocks(features: Tensor, neighbours: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The padded features and the neighbour rows in blocks that gather at most BLOCK_BYTES."""
    padded = functional.pad(features, (0, 0, 0, 1))
    rows = max(1, BLOCK_BYTES // (TAPS * features.shape[1] * features.element_size()))
    return [(padded, block) for block in neighbours.split(rows)]


def _gather(padded: Tensor, rows: Tensor) -> Tensor:
    return padded.index_select(0, rows.reshape(-1)).view(rows.shape[0], rows.shape[1] * padded.shape[1])


def _convolve(features: Tensor, packed: Tensor, grid: Neighbours) -> Tensor:
    if _fused(features):
        from models.kernels.convolution import gather_gemm

        return gather_gemm(features, grid.taps, packed.view(TAPS, features.shape[1], -1), None)
    parts = [_gather(padded, rows) @ packed for padded, rows in _blocks(features, grid.neighbours)]
    return torch.cat(parts) if parts else features.new_zeros(0, packed.shape[1])


def _weights_gradient(features: Tensor, gradient: Tensor, grid: Neighbours) -> Tensor:
    """[N, Cin] and [N, Cout] -> [27 * Cin, Cout] in float32 or better."""
    if _fused(features):
        from models.kernels.gradient import weights_gradient

        return weights_gradient(features, grid.taps, gradient).flatten(0, 1)
    dtype = torch.promote_types(features.dtype, torch.float32)
    total = features.new_zeros(TAPS * features.shape[1], gradient.shape[1], dtype=dtype)
    start = 0
    for padded, rows in _blocks(features, grid.neighbours):
        total += _outer(_gather(padded, rows), gradient[start : start + rows.shape[0]])
        start += rows.shape[0]
    return total


class _Conv3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, packed: Tensor, grid: Neighbours) -> Tensor:
        ctx.save_for_backward(features, packed)
        ctx.grid = grid
        return _convolve(features, packed, grid)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, packed = ctx.saved_tensors
        gradient = gradient.contiguous()
        for_features = for_packed = None
        if ctx.needs_input_grad[0]:
            # Voxel a is neighbour `tap` of b exactly when b is neighbour 26 - tap of a.
            taps = packed.view(TAPS, features.shape[1], packed.shape[1])
            flipped = taps.flip(0).transpose(1, 2).reshape(TAPS * packed.shape[1], features.shape[1])
            for_features = _convolve(gradient, flipped, ctx.grid)
        if ctx.needs_input_grad[1]:
            for_packed = _weights_gradient(features, gradient, ctx.grid).to(packed.dtype)
        return for_features, for_packed, None


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """left.T @ right, [N, A] and [N, B] -> [A, B] in float32 or better, in slices of rows.

    The result is small and N is not: as one product it would keep a few of a GPU's processors busy for long.
    """
    slices = len(left) // SLICE_ROWS
    whole = slices * SLICE_ROWS
    dtype = torch.promote_types(left.dtype, torch.float32)
    product = (left[whole:].T @ right[whole:]).to(dtype)
    if slices:
        stacked = left[:whole].view(slices, SLICE_ROWS, -1).transpose(1, 2)
        product += torch.bmm(stacked, right[:whole].view(slices, SLICE_ROWS, -1)).to(dtype).sum(dim=0)
    return product
