"""How many rows of fixed memory count: the others are only room for larger samples, and no kernel computes them."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
# ruff: noqa: N803
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def counted_rows(rows, real, COUNTED: tl.constexpr):
    """The number that `real` points to, where rows are counted, else all `rows`."""
    count = rows
    if COUNTED:
        count = tl.load(real)
    return count


@triton.jit
def end_of_rows(first, rows, sample_rows, real, COUNTED: tl.constexpr):
    """The end of the rows that count in the sample of row `first`; all `rows` end it where they are not counted.

    real: int32 [samples]. A program's rows lie in one sample: `sample_rows` is a multiple of how many it takes.
    """
    end = rows
    if COUNTED:
        sample = first // sample_rows
        end = sample * sample_rows + tl.load(real + sample)
    return end
