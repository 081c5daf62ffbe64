"""A 3x3x3 convolution on rows of voxels as one kernel: neighbours are gathered straight into the matrix product.

The gathered block [N, 27 * Cin], which the plain way writes to memory and reads again, never exists. Sums are divided
into parts as in product.py, so a sample gives the same bits alone and in any batch. A product of float32 numbers is
made of three of their TF32 halves, which loses next to nothing.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.product import LARGE, SMALL, Tiles, combine, parts_of, tiles_of
from models.kernels.rows import end_of_rows

TAPS = 27
MANY = 16_384
"""Rows of float32 from which on large tiles are quicker."""


def gather_gemm(
    x: Tensor, taps: Tensor, weight: Tensor, bias: Tensor | None, real: Tensor | None = None,
    tiles: Tiles | None = None,
) -> Tensor:  # fmt: skip
    """x [N, Cin], taps int32 [27, V], weight [27, Cin, Cout], bias [Cout] -> [N, Cout].

    taps: the row of each neighbour within a sample of V voxels, V for none; N is a multiple of V, and every sample has
    the same table. With `real`, int32 [S], it is the table of all S samples at once instead, and V is N; of the N / S
    rows of each sample so many count, where the others are only room; what they get is undefined. tiles: in place of
    the usual ones.
    """
    x, weight = x.contiguous(), weight.contiguous()
    rows, cin = x.shape
    cout, voxels = weight.shape[2], taps.shape[1]
    exact = x.dtype is torch.float32
    block = 32 if exact or cin % 64 else 64
    sample_rows = voxels if real is None else voxels // len(real)
    assert real is None or sample_rows % LARGE == 0 or len(real) == 1
    parts = parts_of(sample_rows, cout, (1, 3, 9), 192)
    shape = tiles or tiles_of(rows, cout, parts)
    if exact and tiles is None and rows >= MANY:
        shape = Tiles(LARGE, min(SMALL, max(16, triton.next_power_of_2(cout))), 4, 2, shape.apart)
    out = torch.empty(rows, cout, dtype=x.dtype, device=x.device)
    sums = torch.empty(parts, rows, cout, dtype=torch.float32, device=x.device) if shape.apart else out
    grid = (triton.cdiv(rows, shape.rows) * triton.cdiv(cout, shape.columns), parts if shape.apart else 1)
    _convolve[grid](
        x, taps, weight, weight if bias is None else bias, sums, taps if real is None else real,
        rows, voxels, sample_rows, cout,
        CIN=cin, BIAS=bias is not None, COUNTED=real is not None, ALONE=rows == voxels,
        PRECISION="tf32x3" if exact else "ieee", PARTS=parts, APART=shape.apart,
        EVEN=cin % block == 0 and cout % shape.columns == 0,
        BLOCK_M=shape.rows, BLOCK_N=shape.columns, BLOCK_K=block, TAPS=TAPS,
        num_warps=shape.warps, num_stages=shape.stages,
    )  # fmt: skip
    if shape.apart:
        combine(sums, bias, None, out, sample_rows, real)
    return out


@triton.jit(do_not_specialize=["rows", "voxels", "sample_rows"])
def _convolve(
    x, taps, weight, bias, out, real, rows, voxels, sample_rows, cout,
    CIN: tl.constexpr, BIAS: tl.constexpr, COUNTED: tl.constexpr, ALONE: tl.constexpr,
    PRECISION: tl.constexpr, PARTS: tl.constexpr, APART: tl.constexpr, EVEN: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(cout, BLOCK_N)
    steps: tl.constexpr = (CIN + BLOCK_K - 1) // BLOCK_K
    length: tl.constexpr = TAPS // PARTS * steps
    first = tl.program_id(0) // blocks * BLOCK_M
    end = end_of_rows(first, rows, sample_rows, real, COUNTED)
    if first >= end:
        return
    row = first + tl.arange(0, BLOCK_M)
    col = tl.program_id(0) % blocks * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = row < end
    if ALONE:
        voxel = row
        sample = x
    else:
        voxel = row % voxels
        sample = x + (row - voxel).to(tl.int64)[:, None] * CIN
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    part = tl.program_id(1)
    for number in range(1 if APART else PARTS):
        start = (part + number) * length
        added = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for step in range(length):
            tap = (start + step) // steps
            channel = (start + step) % steps * BLOCK_K + tl.arange(0, BLOCK_K)
            source = tl.load(taps + tap * voxels + voxel, mask=inside, other=voxels)
            present = (source < voxels)[:, None]
            if EVEN:
                a = tl.load(sample + source[:, None] * CIN + channel[None, :], mask=present, other=0.0)
                b = tl.load(weight + (tap * CIN + channel)[:, None] * cout + col[None, :])
            else:
                a = tl.load(
                    sample + source[:, None] * CIN + channel[None, :],
                    mask=present & (channel < CIN)[None, :],
                    other=0.0,
                )
                b = tl.load(
                    weight + (tap * CIN + channel)[:, None] * cout + col[None, :],
                    mask=(channel < CIN)[:, None] & (col < cout)[None, :],
                    other=0.0,
                )
            added = tl.dot(a, b, added, input_precision=PRECISION)
        if PARTS == 1 or APART:
            total = added
        else:
            total += added
    kept = inside[:, None] & (col < cout)[None, :]
    if APART:
        place = (part.to(tl.int64) * rows + row)[:, None] * cout + col[None, :]
        tl.store(out + place, total, mask=kept)
    else:
        if BIAS:
            total += tl.load(bias + col, mask=col < cout, other=0.0).to(tl.float32)[None, :]
        tl.store(out + row.to(tl.int64)[:, None] * cout + col[None, :], total.to(out.dtype.element_ty), mask=kept)
