"""Fused GPU kernels in Triton for what the U-Nets do most, each beside plain PyTorch that computes the same.

They take part where Triton is installed, tensors are bfloat16 on a GPU, and no gradient is wanted. Everything else,
float32 on a GPU included, runs the plain way, which is the reference. `switches` turns each of them off.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import torch
from torch import Tensor

HAS_TRITON = importlib.util.find_spec("triton") is not None


@dataclass
class Switches:
    """Which kernels may be used. Process-wide, like the backend flags of PyTorch; for measurements and for doubts."""

    convolution: bool = True
    normalisation: bool = True
    activation: bool = True


switches = Switches()


def usable(x: Tensor) -> bool:
    """Whether the kernels take this tensor."""
    return HAS_TRITON and x.is_cuda and x.dtype is torch.bfloat16 and not torch.is_grad_enabled()
