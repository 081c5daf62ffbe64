from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from models._open_clip import _declare_missing_operators, open_clip

ROOT = Path(__file__).parents[2]


def test_open_clip_imports_and_tokenizes() -> None:
    tokens = open_clip.get_tokenizer("ViT-H-14")(["a tall chair"])
    assert tokens.shape == (1, 77)
    assert tokens[0, 0] == 49406, "start of text"
    assert 49407 in tokens[0], "end of text"


def test_nothing_is_declared_without_torchvision() -> None:
    assert _declare_missing_operators(None) is None


def in_fresh_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_operators_that_cannot_load_are_declared_and_still_fail_when_called(tmp_path: Path) -> None:
    (tmp_path / "_C.so").write_bytes(b"not a library")
    code = f"""
import importlib.util, pathlib, sys, torch
sys.modules["open_clip"] = sys  # the declarations alone are wanted, not the import that follows them
importlib.util.find_spec = lambda name: None
from models._open_clip import _declare_missing_operators
kept = _declare_missing_operators(pathlib.Path({str(tmp_path)!r}))
assert kept is not None
torch.library.register_fake("torchvision::nms", lambda *a: None)
torch.library.register_fake("torchvision::qnms", lambda *a: None)
torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
"""
    result = in_fresh_python(code)
    assert result.returncode != 0
    assert "NotImplementedError" in result.stderr
    assert "AssertionError" not in result.stderr


def test_nothing_that_a_start_does_imports_torchs_compiler() -> None:
    code = """
import sys
from models.checkpoint.source import expected_shapes
from models.sizes import TINY
from models.text import VIT_H_14
from tests.support.tiny import coarse_stage, fine_stage
for config in (VIT_H_14, TINY["coarse"], TINY["fine"]):
    assert expected_shapes(config)
assert coarse_stage() and fine_stage()
assert not {"torch._dynamo", "sympy"} & set(sys.modules)
from torchvision.ops.roi_align import is_compile_supported as torchvisions
import torch._dynamo.utils
assert torchvisions is not torch._dynamo.utils.is_compile_supported
assert torchvisions("cpu") == torch._dynamo.utils.is_compile_supported("cpu")
"""
    result = in_fresh_python(code)
    assert result.returncode == 0, result.stderr


def test_other_imports_work_after_ours() -> None:
    others = "import torchvision, open_clip, transformers, timm, torch._dynamo.utils"
    result = in_fresh_python(f"import models._open_clip\n{others}")
    assert result.returncode == 0, result.stderr
