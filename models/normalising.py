"""Group normalisation of sparse samples with a gradient written by hand.

Automatic differentiation would keep a dozen tensors of a row for each voxel and take some 130 operations for each
layer, of which there are dozens: starting them takes a GPU longer than computing them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.grids.samples import Samples


def normalise(
    x: Tensor, samples: Samples, groups: int, eps: float, silu: bool, weight: Tensor, bias: Tensor,
    modulation: Tensor | None,
) -> Tensor:  # fmt: skip
    """What `models.sparse_layers.SparseGroupNorm` does to x [N, C], with a gradient.

    Formulas: Wu & He, "Group Normalization", 2018; the gradient is as that of batch normalisation (Ioffe & Szegedy,
    "Batch normalization", 2015).
    """
    out: Tensor = _SampleNorm.apply(  # type: ignore[no-untyped-call]
        x, samples, groups, eps, silu, weight, bias, modulation
    )
    return out


class _SampleNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, samples: Samples, groups: int, eps: float, silu: bool,
        weight: Tensor, bias: Tensor, modulation: Tensor | None,
    ) -> Tensor:  # fmt: skip
        rows = x.float()
        mean = over_groups(samples.sums(rows) / samples.sizes, groups)
        centred = rows - samples.spread(mean)
        variance = over_groups(samples.sums(centred.square()) / samples.sizes, groups)
        deviation = torch.rsqrt(variance + eps)
        scale, shift = _modulation(modulation, weight)
        factor, offset = deviation * weight * scale, (bias * scale + shift).expand_as(deviation)
        ctx.samples, ctx.groups, ctx.silu = samples, groups, silu
        ctx.save_for_backward(centred, deviation, factor, offset, weight, bias, modulation)
        out = torch.addcmul(samples.spread(offset), centred, samples.spread(factor))
        return (functional.silu(out, inplace=True) if silu else out).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        centred, deviation, factor, offset, weight, bias, modulation = ctx.saved_tensors
        samples: Samples = ctx.samples
        spread_factor = samples.spread(factor)
        along = gradient.float()
        if ctx.silu:
            out = torch.addcmul(samples.spread(offset), centred, spread_factor)
            along = torch.ops.aten.silu_backward(along, out)
        of_offset = samples.sums(along)
        of_factor = samples.sums(along * centred) * deviation
        scale, _ = _modulation(modulation, weight)
        scaled = weight * scale
        mean = over_groups(of_offset * scaled / samples.sizes, ctx.groups) * deviation
        slope = over_groups(of_factor * scaled / samples.sizes, ctx.groups) * deviation.square()
        for_x = torch.addcmul(-samples.spread(mean), along, spread_factor)
        for_x = torch.addcmul(for_x, centred, samples.spread(slope), value=-1).to(gradient.dtype)
        for_modulation = None
        if modulation is not None:
            for_modulation = torch.cat((of_factor * weight + of_offset * bias, of_offset), dim=1).to(modulation.dtype)
        for_weight, for_bias = (of_factor * scale).sum(dim=0), (of_offset * scale).sum(dim=0)
        return for_x, None, None, None, None, for_weight, for_bias, for_modulation


def _modulation(modulation: Tensor | None, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift [S, C] of a modulation [S, 2 * C]; without one, a scale of 1 and no shift."""
    if modulation is None:
        return weight.new_ones(1), weight.new_zeros(1)
    scale, shift = modulation.float().chunk(2, dim=1)
    return 1 + scale, shift


def over_groups(values: Tensor, groups: int) -> Tensor:
    """The mean of each group's channels, for each of them: [S, C] -> the same shape."""
    means: Tensor = values.unflatten(1, (groups, -1)).mean(dim=2, keepdim=True)
    return means.expand(-1, -1, values.shape[1] // groups).flatten(1)
