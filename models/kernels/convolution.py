"""A 3x3x3 convolution on rows of voxels as one kernel: neighbours are gathered straight into the matrix product.

The gathered block [N, 27 * Cin], which the plain way writes to memory and reads again, never exists.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TAPS = 27
FEWEST_TILES = 48
"""Below so many output tiles the GPU would idle, and a library's product that splits the sum is faster."""


def worthwhile(x: Tensor, out_channels: int) -> bool:
    """Whether the kernel is the better way for features [N, Cin] -> [N, out_channels]."""
    tiles = triton.cdiv(x.shape[0], 128) * triton.cdiv(out_channels, 128)
    return bool(tiles >= FEWEST_TILES and x.numel() < 2**31)


def gather_gemm(x: Tensor, taps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [N, Cin], taps int32 [27, N] (row of each neighbour, N for none), weight [27, Cin, Cout] -> [N, Cout].

    Products are summed in float32, tap by tap in ascending order, whatever the tile size.
    """
    x, weight = x.contiguous(), weight.contiguous()
    rows, cin = x.shape
    cout = weight.shape[2]
    out = torch.empty(rows, cout, dtype=x.dtype, device=x.device)
    block_n = 16 if cout <= 16 else 64 if cout <= 64 else 128
    block_k = 64 if cin % 64 == 0 else 32
    grid = (triton.cdiv(rows, 128) * triton.cdiv(cout, block_n),)
    _kernel[grid](
        x, taps, weight, weight if bias is None else bias, out, rows,
        CIN=cin, COUT=cout, BIAS=bias is not None, EVEN=cin % block_k == 0 and cout % block_n == 0,
        BLOCK_M=128, BLOCK_N=block_n, BLOCK_K=block_k, TAPS=TAPS, num_warps=8 if block_n == 128 else 4, num_stages=3,
    )  # fmt: skip
    return out


@triton.jit
def _kernel(
    x, taps, weight, bias, out, rows,
    CIN: tl.constexpr, COUT: tl.constexpr, BIAS: tl.constexpr, EVEN: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    blocks: tl.constexpr = (COUT + BLOCK_N - 1) // BLOCK_N
    steps: tl.constexpr = (CIN + BLOCK_K - 1) // BLOCK_K
    row = tl.program_id(0) // blocks * BLOCK_M + tl.arange(0, BLOCK_M)
    col = tl.program_id(0) % blocks * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = row < rows
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for step in range(TAPS * steps):
        tap = step // steps
        channel = step % steps * BLOCK_K + tl.arange(0, BLOCK_K)
        source = tl.load(taps + tap * rows + row, mask=inside, other=rows)
        present = (source < rows)[:, None]
        if EVEN:
            a = tl.load(x + source[:, None] * CIN + channel[None, :], mask=present, other=0.0)
            b = tl.load(weight + (tap * CIN + channel)[:, None] * COUT + col[None, :])
        else:
            a = tl.load(
                x + source[:, None] * CIN + channel[None, :], mask=present & (channel < CIN)[None, :], other=0.0
            )
            b = tl.load(
                weight + (tap * CIN + channel)[:, None] * COUT + col[None, :],
                mask=(channel < CIN)[:, None] & (col < COUT)[None, :],
                other=0.0,
            )
        total = tl.dot(a, b, total)
    if BIAS:
        total += tl.load(bias + col, mask=col < COUT, other=0.0).to(tl.float32)[None, :]
    kept = inside[:, None] & (col < COUT)[None, :]
    tl.store(out + row[:, None] * COUT + col[None, :], total.to(out.dtype.element_ty), mask=kept)
