"""Average pooling on rows of voxels: the sum over the children that are there, divided by 8, in float32."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.rows import end_of_rows

LINES = 16


def average_children(x: Tensor, children: Tensor, samples: int = 1, real: Tensor | None = None) -> Tensor:
    """x [B * V, C] of B samples, children int [M, 8] -> [B * M, C].

    children: the row of each child within a sample of V voxels, V for none; every sample has the same table. With
    `real`, int32 [S], it is the table of all S samples at once instead, and B is 1; of the M / S results of each sample
    so many count, where the others are only room; what they get is undefined.
    """
    x = x.contiguous()
    parents, channels = children.shape[0], x.shape[1]
    out = torch.empty(samples * parents, channels, dtype=x.dtype, device=x.device)
    block = min(128, triton.next_power_of_2(channels))
    sample_parents = parents if real is None else parents // len(real)
    assert real is None or sample_parents % LINES == 0
    _average[(triton.cdiv(parents, LINES), triton.cdiv(channels, block), samples)](
        x, children, out, children if real is None else real, parents, sample_parents, x.shape[0] // samples,
        C=channels, COUNTED=real is not None, LINES=LINES, BLOCK=block, num_warps=4,
    )  # fmt: skip
    return out


@triton.jit(do_not_specialize=["parents", "sample_parents", "voxels"])
def _average(
    x, children, out, real, parents, sample_parents, voxels,
    C: tl.constexpr, COUNTED: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0) * LINES
    end = end_of_rows(first, parents, sample_parents, real, COUNTED)
    if first >= end:
        return
    sample = tl.program_id(2).to(tl.int64)
    row = first + tl.arange(0, LINES)
    col = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside, within = row < end, (col < C)[None, :]
    total = tl.zeros((LINES, BLOCK), dtype=tl.float32)
    for octant in tl.static_range(8):
        child = tl.load(children + row * 8 + octant, mask=inside, other=voxels)
        there = (child < voxels)[:, None] & within
        place = (sample * voxels + child)[:, None] * C + col[None, :]
        total += tl.load(x + place, mask=there, other=0.0).to(tl.float32)
    place = (sample * parents + row)[:, None] * C + col[None, :]
    tl.store(out + place, (total / 8).to(out.dtype.element_ty), mask=inside[:, None] & within)
