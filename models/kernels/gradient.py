"""What a 3x3x3 convolution's weights get from a gradient, as one kernel: neighbours are gathered into the product.

Sums are divided into parts of fixed size that are added afterwards, so the same rows give the same bits.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.kernels.tiles import size_class

TAPS = 27
PART = 4096
"""Rows that one program adds up at least."""
MOST_PARTS = 64
WIDEST = 64


def weights_gradient(x: Tensor, taps: Tensor, gradient: Tensor) -> Tensor:
    """x [N, Cin], taps int32 [27, N], gradient [N, Cout] -> float32 [27, Cin, Cout].

    taps: the row of each neighbour, N for none. Each tap's matrix is x of the neighbours, transposed, times gradient.
    """
    x, gradient = x.contiguous(), gradient.contiguous()
    (rows, cin), cout = x.shape, gradient.shape[1]
    width, height = (min(WIDEST, max(16, size_class(channels))) for channels in (cin, cout))
    parts = max(1, min(MOST_PARTS, rows // PART))
    out = torch.empty(parts, TAPS, cin, cout, dtype=torch.float32, device=x.device)
    grid = (triton.cdiv(cin, width) * triton.cdiv(cout, height), TAPS, parts)
    _gradient[grid](
        x, taps, gradient, out, rows, triton.cdiv(rows, parts),
        CIN=cin, COUT=cout, TAPS=TAPS, BLOCK_M=width, BLOCK_N=height, BLOCK_K=64, num_warps=4, num_stages=3,
    )  # fmt: skip
    return out.sum(dim=0) if parts > 1 else out[0]


@triton.jit(do_not_specialize=["rows", "length"])
def _gradient(
    x, taps, gradient, out, rows, length,
    CIN: tl.constexpr, COUT: tl.constexpr, TAPS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    across: tl.constexpr = (COUT + BLOCK_N - 1) // BLOCK_N
    channel = tl.program_id(0) // across * BLOCK_M + tl.arange(0, BLOCK_M)
    col = tl.program_id(0) % across * BLOCK_N + tl.arange(0, BLOCK_N)
    tap = tl.program_id(1)
    part = tl.program_id(2)
    first = part * length
    end = tl.minimum(first + length, rows)
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for start in range(first, end, BLOCK_K):
        row = start + tl.arange(0, BLOCK_K)
        inside = row < end
        source = tl.load(taps + tap.to(tl.int64) * rows + row, mask=inside, other=rows)
        present = source < rows
        place = source.to(tl.int64)[:, None] * CIN + channel[None, :]
        a = tl.load(x + place, mask=present[:, None] & (channel < CIN)[None, :], other=0.0)
        there = row.to(tl.int64)[:, None] * COUT + col[None, :]
        b = tl.load(gradient + there, mask=present[:, None] & (col < COUT)[None, :], other=0.0)
        total = tl.dot(tl.trans(a), b, total)
    matrix = out + (part * TAPS + tap).to(tl.int64) * CIN * COUT
    wanted = (channel < CIN)[:, None] & (col < COUT)[None, :]
    tl.store(matrix + channel[:, None] * COUT + col[None, :], total, mask=wanted)
