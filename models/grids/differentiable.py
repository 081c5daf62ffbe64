"""A sparse grid through which gradients flow, written by hand.

Automatic differentiation would keep every gathered block [N, 27 * Cin] for the backward pass and scatter into it with
atomic additions. Here the backward pass of a convolution is a convolution too (on the same neighbours, the taps in
reverse), and blocks are gathered again instead of kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.grids.torch_grid import TorchGrid
from models.grids.unwaiting import TAPS

BLOCK_BYTES = 1 << 30
SLICE_ROWS = 4096


class DifferentiableGrid(TorchGrid):
    """`TorchGrid` with gradients of convolutions; grids derived from it are of the same kind."""

    def conv3(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `UNetGrid.conv3`."""
        packed = weight.permute(2, 3, 4, 1, 0).reshape(-1, weight.shape[0])
        device = features.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            features, packed = features.to(dtype), packed.to(dtype)
        output: Tensor = _Conv3.apply(features, packed, self.neighbours)  # type: ignore[no-untyped-call]
        return output if bias is None else output + bias.to(output.dtype)


def _blocks(features: Tensor, neighbours: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The padded features and the neighbour rows in blocks that gather at most BLOCK_BYTES."""
    padded = functional.pad(features, (0, 0, 0, 1))
    rows = max(1, BLOCK_BYTES // (TAPS * features.shape[1] * features.element_size()))
    return [(padded, block) for block in neighbours.split(rows)]


def _gather(padded: Tensor, rows: Tensor) -> Tensor:
    return padded.index_select(0, rows.reshape(-1)).view(rows.shape[0], rows.shape[1] * padded.shape[1])


def _convolve(features: Tensor, packed: Tensor, neighbours: Tensor) -> Tensor:
    parts = [_gather(padded, rows) @ packed for padded, rows in _blocks(features, neighbours)]
    return torch.cat(parts) if parts else features.new_zeros(0, packed.shape[1])


class _Conv3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, packed: Tensor, neighbours: Tensor) -> Tensor:
        ctx.save_for_backward(features, packed, neighbours)
        return _convolve(features, packed, neighbours)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, packed, neighbours = ctx.saved_tensors
        gradient = gradient.contiguous()
        for_features = for_packed = None
        if ctx.needs_input_grad[0]:
            # Voxel a is neighbour `tap` of b exactly when b is neighbour 26 - tap of a.
            taps = packed.view(TAPS, features.shape[1], packed.shape[1])
            flipped = taps.flip(0).transpose(1, 2).reshape(TAPS * packed.shape[1], features.shape[1])
            for_features = _convolve(gradient, flipped, neighbours)
        if ctx.needs_input_grad[1]:
            for_packed = torch.zeros_like(packed, dtype=torch.promote_types(packed.dtype, torch.float32))
            start = 0
            for padded, rows in _blocks(features, neighbours):
                part = gradient[start : start + rows.shape[0]]
                for_packed += _outer(_gather(padded, rows), part)
                start += rows.shape[0]
            for_packed = for_packed.to(packed.dtype)
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
