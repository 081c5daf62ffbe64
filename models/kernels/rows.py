"""How many rows of fixed memory count: the others are only room for larger samples, and no kernel computes them."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def counted_rows(rows, real, COUNTED: tl.constexpr):
    """The number in `real`, int32 [1], where rows are counted, else all `rows`."""
    count = rows
    if COUNTED:
        count = tl.load(real)
    return count
