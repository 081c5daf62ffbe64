"""GEGLU in one pass: value * GELU(gate), with the exact GELU (by the error function), in float32."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


def geglu(x: Tensor) -> Tensor:
    """x [N, 2 * H], values then gates -> [N, H]."""
    x = x.contiguous()
    rows, width = x.shape[0], x.shape[1] // 2
    out = torch.empty(rows, width, dtype=x.dtype, device=x.device)
    _geglu[(rows, triton.cdiv(width, BLOCK))](x, out, H=width, BLOCK=BLOCK, num_warps=4)
    return out


@triton.jit
def gelu(x):
    """The exact GELU of float32 values."""
    return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))


@triton.jit
def _geglu(x, out, H: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + row * 2 * H + col, mask=col < H, other=0.0).to(tl.float32)
    gate = tl.load(x + row * 2 * H + H + col, mask=col < H, other=0.0).to(tl.float32)
    tl.store(out + row * H + col, (value * gelu(gate)).to(out.dtype.element_ty), mask=col < H)
