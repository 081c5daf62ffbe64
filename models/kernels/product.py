"""Matrix products whose rows do not know of each other: a row gives the same bits alone and among any others.

A library picks tiles and splits by the number of rows, and with it the order in which a sum is added up. Here a sum
consists of `parts`, whose number follows from the layer and the rows of one sample. Each part is added up in
ascending order, then the parts are; whether one program takes all of them or each has its own changes no bit.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.activation import geglu, gelu
from models.kernels.rows import end_of_rows
from models.kernels.tiles import SMALL, Tiles, gated_tiles, parts_of, product_tiles


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, sample_rows: int, real: Tensor | None = None,
    residual: Tensor | None = None, tiles: Tiles | None = None,
) -> Tensor:  # fmt: skip
    """x [M, K] times weight [N, K], plus bias [N], plus residual [M, N] -> [M, N].

    sample_rows: rows of each sample. real: int32 [M / sample_rows], how many of them count, where the others are only
    room; what they get is undefined. tiles: in place of the usual ones.
    """
    parts = _parts(weight, sample_rows)
    shape = tiles or product_tiles(len(x), len(weight), weight.shape[1], parts)
    return _product(x, weight, bias, residual, sample_rows, real, parts, shape, gated=False)


def gated(x: Tensor, weight: Tensor, bias: Tensor | None, sample_rows: int, real: Tensor | None = None) -> Tensor:
    """GEGLU of a product in one pass: x [M, K] and weight [2 * H, K], values then gates -> [M, H].

    The other arguments are those of `linear`.
    """
    parts = _parts(weight, sample_rows)
    if parts > 1:  # few rows: it is quick either way
        return geglu(linear(x, weight, bias, sample_rows, real))
    shape = gated_tiles(len(x), len(weight) // 2, weight.shape[1])
    return _product(x, weight, bias, None, sample_rows, real, parts, shape, gated=True)


def _parts(weight: Tensor, sample_rows: int) -> int:
    columns, length = weight.shape
    return parts_of(sample_rows, columns, (1, *(parts for parts in (2, 4, 8) if length % (512 * parts) == 0)), 96)


def _product(
    x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None, sample_rows: int, real: Tensor | None,
    parts: int, shape: Tiles, *, gated: bool,
) -> Tensor:  # fmt: skip
    x, weight = x.contiguous(), weight.contiguous()
    rows, length = x.shape
    columns = weight.shape[0] // 2 if gated else weight.shape[0]
    block = 64 if length % 64 == 0 else 32
    out = torch.empty(rows, columns, dtype=x.dtype, device=x.device)
    sums = torch.empty(parts, rows, columns, dtype=torch.float32, device=x.device) if shape.apart else out
    grid = (triton.cdiv(rows, shape.rows) * triton.cdiv(columns, shape.columns), parts if shape.apart else 1)
    _linear[grid](
        x, weight, weight if bias is None else bias, x if residual is None else residual.contiguous(), sums,
        x if real is None else real, rows, sample_rows, columns, length,
        BIAS=bias is not None, RESIDUAL=residual is not None, COUNTED=real is not None, GATED=gated,
        PARTS=parts, APART=shape.apart, EVEN_N=columns % shape.columns == 0, EVEN_K=length % block == 0,
        BLOCK_M=shape.rows, BLOCK_N=shape.columns, BLOCK_K=block, num_warps=shape.warps, num_stages=shape.stages,
    )  # fmt: skip
    if shape.apart:
        combine(sums, bias, residual, out, sample_rows, real)
    return out


def combine(
    sums: Tensor, bias: Tensor | None, residual: Tensor | None, out: Tensor, sample_rows: int, real: Tensor | None
) -> None:
    """Adds up parts [P, M, N] in ascending order, then bias and residual, into out [M, N]."""
    parts, rows, columns = sums.shape
    block = min(1024, triton.next_power_of_2(columns))
    lines = min(SMALL, max(1, 1024 // block))
    _combine[(triton.cdiv(rows, lines), triton.cdiv(columns, block))](
        sums, sums if bias is None else bias, sums if residual is None else residual.contiguous(), out,
        sums if real is None else real, rows, sample_rows, columns,
        BIAS=bias is not None, RESIDUAL=residual is not None, COUNTED=real is not None,
        PARTS=parts, LINES=lines, BLOCK=block, num_warps=4,
    )  # fmt: skip


@triton.jit(do_not_specialize=["rows", "sample_rows"])
def _linear(
    x, weight, bias, residual, out, real, rows, sample_rows, columns, length,
    BIAS: tl.constexpr, RESIDUAL: tl.constexpr, COUNTED: tl.constexpr, GATED: tl.constexpr,
    PARTS: tl.constexpr, APART: tl.constexpr, EVEN_N: tl.constexpr, EVEN_K: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(columns, BLOCK_N)
    steps = tl.cdiv(length, PARTS * BLOCK_K)
    first = tl.program_id(0) // blocks * BLOCK_M
    end = end_of_rows(first, rows, sample_rows, real, COUNTED)
    if first >= end:
        return
    row = first + tl.arange(0, BLOCK_M)
    col = tl.program_id(0) % blocks * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = (row < end)[:, None]
    left = x + row.to(tl.int64)[:, None] * length
    right = weight + col[None, :].to(tl.int64) * length
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    gates = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    part = tl.program_id(1)
    for number in range(1 if APART else PARTS):
        start = (part + number) * steps * BLOCK_K
        added = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for step in range(steps):
            k = start + step * BLOCK_K + tl.arange(0, BLOCK_K)
            if EVEN_K:
                a = tl.load(left + k[None, :], mask=inside, other=0.0)
            else:
                a = tl.load(left + k[None, :], mask=inside & (k < length)[None, :], other=0.0)
            if EVEN_N and EVEN_K:
                b = tl.load(right + k[:, None])
            else:
                b = tl.load(right + k[:, None], mask=(k < length)[:, None] & (col < columns)[None, :], other=0.0)
            added = tl.dot(a, b, added, input_precision="ieee")
            if GATED:
                lower = right + columns.to(tl.int64) * length + k[:, None]
                if EVEN_N and EVEN_K:
                    c = tl.load(lower)
                else:
                    c = tl.load(lower, mask=(k < length)[:, None] & (col < columns)[None, :], other=0.0)
                gates = tl.dot(a, c, gates, input_precision="ieee")
        if PARTS == 1 or APART:
            total = added
        else:
            total += added
    kept = inside & (col < columns)[None, :]
    if APART:
        place = (part.to(tl.int64) * rows + row)[:, None] * columns + col[None, :]
        tl.store(out + place, total, mask=kept)
    else:
        if BIAS:
            total += tl.load(bias + col, mask=col < columns, other=0.0).to(tl.float32)[None, :]
        if GATED:
            if BIAS:
                gates += tl.load(bias + columns + col, mask=col < columns, other=0.0).to(tl.float32)[None, :]
            total *= gelu(gates)
        place = row.to(tl.int64)[:, None] * columns + col[None, :]
        if RESIDUAL:
            total += tl.load(residual + place, mask=kept, other=0.0).to(tl.float32)
        tl.store(out + place, total.to(out.dtype.element_ty), mask=kept)


@triton.jit(do_not_specialize=["rows", "sample_rows"])
def _combine(
    sums, bias, residual, out, real, rows, sample_rows, columns,
    BIAS: tl.constexpr, RESIDUAL: tl.constexpr, COUNTED: tl.constexpr, PARTS: tl.constexpr,
    LINES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0) * LINES
    end = end_of_rows(first, rows, sample_rows, real, COUNTED)
    if first >= end:
        return
    row = first + tl.arange(0, LINES)
    col = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    kept = (row < end)[:, None] & (col < columns)[None, :]
    place = row.to(tl.int64)[:, None] * columns + col[None, :]
    total = tl.zeros((LINES, BLOCK), dtype=tl.float32)
    for part in tl.static_range(PARTS):
        total += tl.load(sums + part * rows.to(tl.int64) * columns + place, mask=kept, other=0.0)
    if BIAS:
        total += tl.load(bias + col, mask=col < columns, other=0.0).to(tl.float32)[None, :]
    if RESIDUAL:
        total += tl.load(residual + place, mask=kept, other=0.0).to(tl.float32)
    tl.store(out + place, total.to(out.dtype.element_ty), mask=kept)
