"""The fused kernels without a GPU, where Triton is installed: whole steps under its interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="the fused kernels need Triton")
def test_steps_of_fused_kernels_give_what_plain_ones_do_in_memory_with_room_for_other_shapes() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.interpreted"], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"TRITON_INTERPRET": "1"}, timeout=900, check=True,
    )  # fmt: skip
    assert done.stdout == ""
