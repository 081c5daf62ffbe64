"""Fused GPU kernels in Triton for what the U-Nets do most, each beside plain PyTorch that computes the same.

They take part where tensors are bfloat16 on a GPU, no gradient is wanted, and a kernel has proved itself on that
machine (see trial.py). Everything else, float32 on a GPU included, runs the plain way, which is the reference.
`switches` turns each of them off.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

log = logging.getLogger("xcube.kernels")
Kind = Literal["convolution", "normalisation", "activation"]


@dataclass
class Switches:
    """Which kernels may be used. Process-wide, like the backend flags of PyTorch; for measurements and for doubts."""

    convolution: bool = True
    normalisation: bool = True
    activation: bool = True


switches = Switches()


def usable(kind: Kind, x: Tensor) -> bool:
    """Whether kernels of a kind may take this tensor."""
    suited = x.is_cuda and x.dtype is torch.bfloat16 and not torch.is_grad_enabled()
    return suited and getattr(switches, kind) and _proved(kind)


@lru_cache(maxsize=3)
def _proved(kind: Kind) -> bool:
    try:
        from models.kernels.trial import TRIALS

        TRIALS[kind](torch.device("cuda"))
    except Exception as error:  # no Triton, no C compiler, another GPU, a wrong result: the plain way needs none of it
        log.warning("steps are slower without the fused %s: %s", kind, str(error).partition("\n")[0])
        return False
    return True
