"""The fused kernels without a GPU, where Triton is installed: whole steps under its interpreter, and their number."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="the fused kernels need Triton")


def printed_by(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"tests.support.{program}"], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | environment, timeout=900, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.slow
@needs_triton
def test_steps_of_fused_kernels_give_what_plain_ones_do_in_memory_with_room_for_other_shapes() -> None:
    assert printed_by("interpreted", TRITON_INTERPRET="1") == ""


@pytest.mark.slow
@needs_triton
def test_no_shape_of_any_size_needs_a_kernel_that_was_not_there_before_it_came() -> None:
    assert printed_by("launches") == ""
