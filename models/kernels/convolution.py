"""A 3x3x3 convolution on rows of voxels as one kernel: neighbours are gathered straight into the matrix product.

The gathered block [N, 27 * Cin], which the plain way writes to memory and reads again, never exists. Sums are divided
into parts as in product.py, so a sample gives the same bits alone and in any batch. A product of float32 numbers is
made of three of their halves in float16, which loses next to nothing: both together have 22 bits.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.product import combine
from models.kernels.rows import end_of_rows
from models.kernels.tiles import LARGE, Tiles, cube_tiles, exact_tiles, gather_tiles, parts_of

TAPS = 27
WEIGHT_SCALE = 64
"""Weights are small, and float16 has few digits below 1e-4."""


def gather_gemm(
    x: Tensor, taps: Tensor | None, weight: Tensor, bias: Tensor | None, real: Tensor | None = None,
    tiles: Tiles | None = None, side: int = 0,
) -> Tensor:  # fmt: skip
    """x [N, Cin], taps int32 [27, V], weight [27, Cin, Cout], bias [Cout] -> [N, Cout].

    taps: the row of each neighbour within a sample of V voxels, V for none; N is a multiple of V, and every sample has
    the same table. With `real`, int32 [S], it is the table of all S samples at once instead, and V is N; of the N / S
    rows of each sample so many count, where the others are only room; what they get is undefined. tiles: in place of
    the usual ones. side: samples are full cubes of so many voxels a side, and there is no table.
    """
    x, weight = x.contiguous(), weight.contiguous()
    rows, cin = x.shape
    cout, voxels = weight.shape[2], side**3 if taps is None else taps.shape[1]
    exact = x.dtype is torch.float32
    sample_rows = voxels if real is None else voxels // len(real)
    assert real is None or sample_rows % LARGE == 0 or len(real) == 1
    parts = parts_of(sample_rows, cout, (1, 3, 9), 192)
    if exact:
        shape = tiles or exact_tiles(rows, cout, cin, apart=parts > 1)
        parts = 9  # tensor cores cut digits off whenever they add to a sum: the shorter it is, the better
    else:
        shape = tiles or (cube_tiles if side else gather_tiles)(rows, cout, parts)
    block = next((size for size in (64, 32) if cin % size == 0), 16) if exact else 32 if cin % 64 else 64
    out = torch.empty(rows, cout, dtype=x.dtype, device=x.device)
    sums = torch.empty(parts, rows, cout, dtype=torch.float32, device=x.device) if shape.apart else out
    if exact:
        x, weight = _halves(x, 1), _halves(weight, WEIGHT_SCALE)
    grid = (triton.cdiv(rows, shape.rows) * triton.cdiv(cout, shape.columns), parts if shape.apart else 1)
    _convolve[grid](
        x, weight if taps is None else taps, weight, weight if bias is None else bias, sums,
        weight if real is None else real,
        rows, voxels, sample_rows, cout,
        CIN=cin, BIAS=bias is not None, COUNTED=real is not None, ALONE=rows == voxels, SIDE=side,
        EXACT=exact, SCALE=WEIGHT_SCALE if exact else 1, PARTS=parts, APART=shape.apart,
        EVEN=cin % block == 0 and cout % shape.columns == 0,
        BLOCK_M=shape.rows, BLOCK_N=shape.columns, BLOCK_K=block, TAPS=TAPS,
        num_warps=shape.warps, num_stages=shape.stages,
    )  # fmt: skip
    if shape.apart:
        combine(sums, bias, None, out, sample_rows, real)
    return out


def _halves(values: Tensor, scale: int) -> Tensor:
    """Float32 numbers times a scale as sums of two float16 ones, [2, ...]; beyond 131,008 they are cut off."""
    out = torch.empty(2, *values.shape, dtype=torch.float16, device=values.device)
    count = values.numel()
    _halve[(triton.cdiv(count, 4096),)](values, out, count, SCALE=scale, BLOCK=4096, num_warps=8)
    return out


@triton.jit(do_not_specialize=["count"])
def _halve(values, out, count, SCALE: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    value = tl.load(values + place, mask=inside, other=0.0) * SCALE
    high = tl.minimum(tl.maximum(value, -65504.0), 65504.0).to(tl.float16)
    rest = tl.minimum(tl.maximum(value - high.to(tl.float32), -65504.0), 65504.0)
    tl.store(out + place, high, mask=inside)
    tl.store(out + count + place, rest.to(tl.float16), mask=inside)


@triton.jit(do_not_specialize=["rows", "voxels", "sample_rows"])
def _convolve(
    x, taps, weight, bias, out, real, rows, voxels, sample_rows, cout,
    CIN: tl.constexpr, BIAS: tl.constexpr, COUNTED: tl.constexpr, ALONE: tl.constexpr, SIDE: tl.constexpr,
    EXACT: tl.constexpr, SCALE: tl.constexpr, PARTS: tl.constexpr, APART: tl.constexpr, EVEN: tl.constexpr,
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
    if SIDE > 0:
        i = voxel // (SIDE * SIDE)
        j = voxel // SIDE % SIDE
        k = voxel % SIDE
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    part = tl.program_id(1)
    for number in range(1 if APART else PARTS):
        start = (part + number) * length
        added = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for step in range(length):
            tap = (start + step) // steps
            channel = (start + step) % steps * BLOCK_K + tl.arange(0, BLOCK_K)
            if SIDE > 0:
                di = tap // 9 - 1
                dj = tap // 3 % 3 - 1
                dk = tap % 3 - 1
                source = voxel + (di * SIDE + dj) * SIDE + dk
                near = (i + di >= 0) & (i + di < SIDE) & (j + dj >= 0) & (j + dj < SIDE)
                present = (inside & near & (k + dk >= 0) & (k + dk < SIDE))[:, None]
            else:
                source = tl.load(taps + tap * voxels + voxel, mask=inside, other=voxels)
                present = (source < voxels)[:, None]
            left = sample + source[:, None] * CIN + channel[None, :]
            right = weight + (tap * CIN + channel)[:, None] * cout + col[None, :]
            taken = present if EVEN else present & (channel < CIN)[None, :]
            wanted = (channel < CIN)[:, None] & (col < cout)[None, :]
            a = tl.load(left, mask=taken, other=0.0)
            b = tl.load(right) if EVEN else tl.load(right, mask=wanted, other=0.0)
            if EXACT:
                a_rest = tl.load(left + rows.to(tl.int64) * CIN, mask=taken, other=0.0)
                rest = right + TAPS * CIN * cout
                b_rest = tl.load(rest) if EVEN else tl.load(rest, mask=wanted, other=0.0)
                added = tl.dot(a_rest, b, added)
                added = tl.dot(a, b_rest, added)
            added = tl.dot(a, b, added, input_precision="ieee")
        if PARTS == 1 or APART:
            total = added
        else:
            total += added
    if EXACT:
        total *= 1 / SCALE
    kept = inside[:, None] & (col < cout)[None, :]
    if APART:
        place = (part.to(tl.int64) * rows + row)[:, None] * cout + col[None, :]
        tl.store(out + place, total, mask=kept)
    else:
        if BIAS:
            total += tl.load(bias + col, mask=col < cout, other=0.0).to(tl.float32)[None, :]
        tl.store(out + row.to(tl.int64)[:, None] * cout + col[None, :], total.to(out.dtype.element_ty), mask=kept)
