"""Attention over rows of samples: softmax(q k^T / sqrt(d)) v, block of keys by block of keys, in float32.

A program takes some queries of one sample and head and walks over that sample's keys in ascending order, so neither
the batch nor room for more rows changes a bit (the running softmax of Dao et al., "FlashAttention", 2022).
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.rows import counted_rows
from models.kernels.tiles import size_class

NARROW = 64
WIDE = 128


def attention(
    q: Tensor, k: Tensor, v: Tensor, heads: int, samples: int, lengths: Tensor | None = None, real: Tensor | None = None
) -> Tensor:
    """q [B * L, heads * d], k and v [B * S, heads * d], whose columns are adjacent -> [B * L, heads * d].

    lengths: int32 [B], the keys of each sample that count, or None for all. real: int32 [B], the queries that count,
    where the others are only room; what they get is undefined. In self-attention it is `lengths` too.
    """
    queries, keys = q.shape[0] // samples, k.shape[0] // samples
    width = q.shape[1] // heads
    out = torch.empty(q.shape[0], q.shape[1], dtype=q.dtype, device=q.device)
    tokens = lengths is not None and lengths is not real  # of a text: few
    block_m = WIDE if size_class(queries) >= 1024 and lengths is not None else NARROW
    block_n = NARROW // 2 if tokens else NARROW
    _attention[(triton.cdiv(queries, block_m), samples * heads)](
        q, k, v, out, q if lengths is None else lengths, q if real is None else real,
        queries, keys, q.stride(0), k.stride(0), v.stride(0), math.log2(math.e) / math.sqrt(width),
        HEADS=heads, DIM=width, WIDTH=max(16, triton.next_power_of_2(width)),
        LENGTHS=lengths is not None, COUNTED=real is not None, EVEN=lengths is None and keys % block_n == 0,
        BLOCK_M=block_m, BLOCK_N=block_n, num_warps=8 if block_m == WIDE and width > NARROW else 4,
        num_stages=4 if tokens else 3 if width <= NARROW else 2,
    )  # fmt: skip
    return out


@triton.jit(do_not_specialize=["queries", "keys"])
def _attention(
    q, k, v, out, lengths, real, queries, keys, q_stride, k_stride, v_stride, scale,
    HEADS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, LENGTHS: tl.constexpr, COUNTED: tl.constexpr,
    EVEN: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0) * BLOCK_M
    sample, head = tl.program_id(1) // HEADS, tl.program_id(1) % HEADS
    count, length = counted_rows(queries, real + sample, COUNTED), counted_rows(keys, lengths + sample, LENGTHS)
    if first >= count:
        return
    lane = tl.arange(0, WIDTH)
    within = (lane < DIM)[None, :]
    row = first + tl.arange(0, BLOCK_M)
    kept = (row < count)[:, None] & within
    asked = (sample.to(tl.int64) * queries + row)[:, None]
    query = tl.load(q + asked * q_stride + head * DIM + lane[None, :], mask=kept, other=0.0)
    k += sample.to(tl.int64) * keys * k_stride + head * DIM
    v += sample.to(tl.int64) * keys * v_stride + head * DIM
    highest = tl.full((BLOCK_M,), float("-inf"), dtype=tl.float32)
    weights = tl.zeros((BLOCK_M,), dtype=tl.float32)
    total = tl.zeros((BLOCK_M, WIDTH), dtype=tl.float32)
    for start in range(0, length, BLOCK_N):
        key = start + tl.arange(0, BLOCK_N)
        found = (key < length)[:, None] & within
        if EVEN and DIM == WIDTH:
            left = tl.load(k + key[:, None] * k_stride + lane[None, :])
            values = tl.load(v + key[:, None] * v_stride + lane[None, :])
        else:
            left = tl.load(k + key[:, None] * k_stride + lane[None, :], mask=found, other=0.0)
            values = tl.load(v + key[:, None] * v_stride + lane[None, :], mask=found, other=0.0)
        logits = tl.dot(query, tl.trans(left), input_precision="ieee")
        if not EVEN:
            logits = tl.where((key < length)[None, :], logits, float("-inf"))
        top = tl.maximum(highest, tl.max(logits, axis=1) * scale)
        shrink = tl.exp2(highest - top)
        share = tl.exp2(logits * scale - top[:, None])  # one instruction a logit where scaling them first takes two
        weights = weights * shrink + tl.sum(share, axis=1)
        total = tl.dot(share.to(values.dtype), values, total * shrink[:, None], input_precision="ieee")
        highest = top
    total = total / weights[:, None]
    tl.store(out + asked * (HEADS * DIM) + head * DIM + lane[None, :], total.to(out.dtype.element_ty), mask=kept)
