"""Fused GPU kernels in Triton for what the U-Nets do most, each beside plain PyTorch that computes the same.

They take part where Triton works, tensors are bfloat16 on a GPU, and no gradient is wanted. Everything else, float32
on a GPU included, runs the plain way, which is the reference. `switches` turns each of them off.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

log = logging.getLogger("xcube.kernels")


@dataclass
class Switches:
    """Which kernels may be used. Process-wide, like the backend flags of PyTorch; for measurements and for doubts."""

    convolution: bool = True
    normalisation: bool = True
    activation: bool = True


switches = Switches()


def usable(x: Tensor) -> bool:
    """Whether the kernels take this tensor."""
    return x.is_cuda and x.dtype is torch.bfloat16 and not torch.is_grad_enabled() and _triton_works()


@lru_cache(maxsize=1)
def _triton_works() -> bool:
    """Whether a kernel compiles, which takes a C compiler besides Triton, and computes what it should."""
    try:
        from models.kernels.activation import geglu

        x = torch.linspace(-3, 3, 64, device="cuda", dtype=torch.bfloat16).view(2, 32)
        value, gate = x.float().chunk(2, dim=1)
        works = bool(torch.allclose(geglu(x).float(), value * torch.nn.functional.gelu(gate), atol=0.05, rtol=0.02))
        reason = "a kernel gave a wrong result"
    except Exception as error:  # whatever is missing or broken there: the plain way needs none of it
        works, reason = False, str(error).partition("\n")[0]
    if not works:
        log.warning("steps are slower without the fused kernels: %s", reason)
    return works
