"""Group and layer normalisation on rows, with what follows them in a U-Net: modulation by the timestep, and SiLU.

All arithmetic is float32. Group statistics are taken about each channel's first value, so that neither a large mean
nor many rows cost digits, and are combined in a fixed order: the same input gives the same bits.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.rows import counted_rows
from models.kernels.tiles import size_class

ROWS_PER_PROGRAM, MANY_PER_PROGRAM = 64, 256
MANY = 32_768
"""Voxels beyond which a program takes many rows, so that there are fewer sums to add up."""
LINES = 16
FEW = 16_384
"""Values of a group that one program takes at once, so that a single kernel does everything."""


def group_norm(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, modulation: Tensor | None, silu: bool,
    real: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """x [B, V, C], each sample normalised over V and the channels of a group; the same shape and type comes back.

    modulation: [B, 2 * C], scale then shift: y * (1 + scale) + shift, or None; its rows may lie apart. silu: whether
    SiLU comes last. real: int32 [B], the voxels that count, where the others are only room; what they get is undefined.
    """
    x = x.contiguous()
    assert modulation is None or modulation.stride(1) == 1
    apart = 0 if modulation is None else modulation.stride(0)
    batch, voxels, channels = x.shape
    width = channels // groups
    size = size_class(voxels)
    if size * width <= FEW:
        out = torch.empty_like(x)
        _group_norm[(groups, batch)](
            x, weight, bias, weight if modulation is None else modulation, out, x if real is None else real,
            voxels, apart, eps,
            C=channels, WIDTH=width, BLOCK=triton.next_power_of_2(width), ROWS=size,
            MODULATED=modulation is not None, SILU=silu, COUNTED=real is not None, num_warps=4,
        )  # fmt: skip
        return out
    taken = MANY_PER_PROGRAM if size > MANY else ROWS_PER_PROGRAM
    chunks = triton.cdiv(voxels, taken)
    block = min(128, triton.next_power_of_2(channels))
    blocks = triton.cdiv(channels, block)
    sums = torch.empty(batch, chunks, 2, channels, dtype=torch.float32, device=x.device)
    _sums[(chunks, blocks, batch)](
        x, sums, x if real is None else real, voxels, chunks,
        C=channels, ROWS=taken, LINES=LINES, BLOCK=block, COUNTED=real is not None, num_warps=4,
    )  # fmt: skip
    affine = torch.empty(batch, 2, channels, dtype=torch.float32, device=x.device)
    _affine[(groups, batch)](
        x, sums, weight, bias, weight if modulation is None else modulation, affine, x if real is None else real,
        voxels, chunks, apart, eps, C=channels, WIDTH=width, BLOCK=triton.next_power_of_2(width), CHUNKS=64,
        ROWS=taken, MODULATED=modulation is not None, COUNTED=real is not None, num_warps=1,
    )  # fmt: skip
    out = torch.empty_like(x)
    _apply[(triton.cdiv(voxels, LINES), blocks, batch)](
        x, affine, out, x if real is None else real, voxels,
        C=channels, LINES=LINES, BLOCK=block, SILU=silu, COUNTED=real is not None, num_warps=4,
    )  # fmt: skip
    return out


def layer_norm(x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x + residual, or x where there is none, and the same with each row normalised; [N, C] each, of x's type."""
    x = x.contiguous()
    rows, channels = x.shape
    out = torch.empty_like(x)
    total = x if residual is None else torch.empty_like(x)
    block = triton.next_power_of_2(channels)
    lines = max(1, 2048 // block)
    _layer_norm[(triton.cdiv(rows, lines),)](
        x, x if residual is None else residual.contiguous(), total, weight, bias, out, rows, eps,
        C=channels, LINES=lines, BLOCK=block, SUM=residual is not None, num_warps=4,
    )  # fmt: skip
    return total, out


@triton.jit(do_not_specialize=["voxels", "apart"])
def _group_norm(
    x, weight, bias, modulation, out, real, voxels, apart, eps,
    C: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
    MODULATED: tl.constexpr, SILU: tl.constexpr, COUNTED: tl.constexpr,
):  # fmt: skip
    group, sample = tl.program_id(0), tl.program_id(1)
    total = counted_rows(voxels, real + sample, COUNTED)
    lane = tl.arange(0, BLOCK)
    inside = lane < WIDTH
    col = group * WIDTH + lane
    row = tl.arange(0, ROWS)
    kept = (row < total)[:, None] & inside[None, :]
    place = (sample * voxels + row)[:, None] * C + col[None, :]
    value = tl.load(x + place, mask=kept, other=0.0).to(tl.float32)
    count = total * WIDTH
    value = tl.where(kept, value - tl.sum(tl.sum(value, axis=1), axis=0) / count, 0.0)
    variance = tl.sum(tl.sum(value * value, axis=1), axis=0) / count
    scale = tl.rsqrt(variance + eps) * tl.load(weight + col, mask=inside, other=0.0).to(tl.float32)
    shift = tl.load(bias + col, mask=inside, other=0.0).to(tl.float32)
    if MODULATED:
        modulation += sample * apart
        factor = 1.0 + tl.load(modulation + col, mask=inside, other=0.0).to(tl.float32)
        scale *= factor
        shift = shift * factor + tl.load(modulation + C + col, mask=inside, other=0.0).to(tl.float32)
    value = value * scale[None, :] + shift[None, :]
    if SILU:
        value = value * tl.sigmoid(value)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=kept)


@triton.jit(do_not_specialize=["voxels", "chunks"])
def _sums(
    x, sums, real, voxels, chunks,
    C: tl.constexpr, ROWS: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr, COUNTED: tl.constexpr,
):  # fmt: skip
    chunk, sample = tl.program_id(0), tl.program_id(2)
    count = counted_rows(voxels, real + sample, COUNTED)
    if chunk * ROWS >= count:
        return
    col = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = col < C
    x += sample * voxels * C
    first = tl.load(x + col, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros((LINES, BLOCK), dtype=tl.float32)
    squares = tl.zeros((LINES, BLOCK), dtype=tl.float32)
    for start in tl.static_range(0, ROWS, LINES):
        row = chunk * ROWS + start + tl.arange(0, LINES)
        kept = (row < count)[:, None] & inside[None, :]
        value = tl.load(x + row[:, None] * C + col[None, :], mask=kept, other=0.0).to(tl.float32)
        value = tl.where(kept, value - first[None, :], 0.0)
        total += value
        squares += value * value
    sums += (sample * chunks + chunk) * 2 * C
    tl.store(sums + col, tl.sum(total, axis=0), mask=inside)
    tl.store(sums + C + col, tl.sum(squares, axis=0), mask=inside)


@triton.jit(do_not_specialize=["voxels", "chunks", "apart"])
def _affine(
    x, sums, weight, bias, modulation, affine, real, voxels, chunks, apart, eps,
    C: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, CHUNKS: tl.constexpr, ROWS: tl.constexpr,
    MODULATED: tl.constexpr, COUNTED: tl.constexpr,
):  # fmt: skip
    group, sample = tl.program_id(0), tl.program_id(1)
    count = counted_rows(voxels, real + sample, COUNTED)
    used = (count + ROWS - 1) // ROWS
    lane = tl.arange(0, BLOCK)
    inside = lane < WIDTH
    col = group * WIDTH + lane
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    squares = tl.zeros((BLOCK,), dtype=tl.float32)
    for start in range(0, used, CHUNKS):
        chunk = start + tl.arange(0, CHUNKS)
        kept = (chunk < used)[:, None] & inside[None, :]
        place = sums + (sample * chunks + chunk)[:, None] * 2 * C + col[None, :]
        total += tl.sum(tl.load(place, mask=kept, other=0.0), axis=0)
        squares += tl.sum(tl.load(place + C, mask=kept, other=0.0), axis=0)
    means = tl.load(x + sample * voxels * C + col, mask=inside, other=0.0).to(tl.float32) + total / count
    spreads = squares - total * total / count
    mean = tl.sum(tl.where(inside, means, 0.0), axis=0) / WIDTH
    away = tl.where(inside, means - mean, 0.0)
    variance = (tl.sum(tl.where(inside, spreads, 0.0), axis=0) / count + tl.sum(away * away, axis=0)) / WIDTH
    scale = tl.rsqrt(tl.maximum(variance, 0.0) + eps) * tl.load(weight + col, mask=inside, other=0.0).to(tl.float32)
    shift = tl.load(bias + col, mask=inside, other=0.0).to(tl.float32) - mean * scale
    if MODULATED:
        modulation += sample * apart
        factor = 1.0 + tl.load(modulation + col, mask=inside, other=0.0).to(tl.float32)
        scale *= factor
        shift = shift * factor + tl.load(modulation + C + col, mask=inside, other=0.0).to(tl.float32)
    affine += sample * 2 * C
    tl.store(affine + col, scale, mask=inside)
    tl.store(affine + C + col, shift, mask=inside)


@triton.jit(do_not_specialize=["voxels"])
def _apply(
    x, affine, out, real, voxels,
    C: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr, SILU: tl.constexpr, COUNTED: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2)
    count = counted_rows(voxels, real + sample, COUNTED)
    if tl.program_id(0) * LINES >= count:
        return
    row = tl.program_id(0) * LINES + tl.arange(0, LINES)
    col = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    kept = (row < count)[:, None] & (col < C)[None, :]
    affine += sample * 2 * C
    scale = tl.load(affine + col, mask=col < C, other=0.0)
    shift = tl.load(affine + C + col, mask=col < C, other=0.0)
    place = (sample * voxels + row)[:, None] * C + col[None, :]
    value = tl.load(x + place, mask=kept, other=0.0).to(tl.float32) * scale[None, :] + shift[None, :]
    if SILU:
        value = value * tl.sigmoid(value)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=kept)


@triton.jit(do_not_specialize=["rows"])
def _layer_norm(
    x, residual, total, weight, bias, out, rows, eps,
    C: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * LINES + tl.arange(0, LINES)
    col = tl.arange(0, BLOCK)
    kept = (row < rows)[:, None] & (col < C)[None, :]
    place = row[:, None] * C + col[None, :]
    value = tl.load(x + place, mask=kept, other=0.0).to(tl.float32)
    if SUM:
        value += tl.load(residual + place, mask=kept, other=0.0).to(tl.float32)
        tl.store(total + place, value.to(total.dtype.element_ty), mask=kept)
        value = value.to(total.dtype.element_ty).to(tl.float32)  # what others read, so that both agree
    value = tl.where(kept, value - (tl.sum(value, axis=1) / C)[:, None], 0.0)
    value *= tl.rsqrt(tl.sum(value * value, axis=1) / C + eps)[:, None]
    scale = tl.load(weight + col, mask=col < C, other=0.0).to(tl.float32)
    shift = tl.load(bias + col, mask=col < C, other=0.0).to(tl.float32)
    value = value * scale[None, :] + shift[None, :]
    tl.store(out + place, value.to(out.dtype.element_ty), mask=kept)
