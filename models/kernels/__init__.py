"""Fused GPU kernels in Triton for what the U-Nets do, each beside plain PyTorch that computes the same.

With all of them a sample has the same bits alone and in any batch; PyTorch's libraries do not promise that.

They take part where tensors are bfloat16 on a GPU, no gradient is wanted, and a kernel has proved itself on that
machine (see self_test.py). Convolution and normalisation take float32 too, without loss of precision: decoders need
them. Everything else runs the plain way, which is the reference. `switches` turns each of them off.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

log = logging.getLogger("xcube.kernels")
Kind = Literal["convolution", "product", "attention", "normalisation", "activation", "pooling"]


@dataclass
class Switches:
    """Which kernels may be used. Process-wide, like the backend flags of PyTorch; for measurements and for doubts."""

    convolution: bool = True
    product: bool = True
    attention: bool = True
    normalisation: bool = True
    activation: bool = True
    pooling: bool = True


BF16_ONLY = frozenset({torch.bfloat16})
DTYPES: dict[Kind, frozenset[torch.dtype]] = {
    kind: BF16_ONLY | {torch.float32} if kind in ("convolution", "normalisation") else BF16_ONLY
    for kind in get_args(Kind)
}
switches = Switches()
OFF = Switches(*(False for _ in fields(Switches)))


def usable(kind: Kind, x: Tensor) -> bool:
    """Whether kernels of a kind may take this tensor."""
    suited = x.is_cuda and x.dtype in DTYPES[kind] and not torch.is_grad_enabled()
    return suited and getattr(switches, kind) and _proved(kind, x.dtype)


def exact(x: Tensor) -> bool:
    """Whether all kernels may take tensors like this one, so that a batch changes no bit of a sample."""
    return all(usable(kind, x) for kind in get_args(Kind))


def trains(x: Tensor) -> bool:
    """Whether convolution kernels may take this tensor in training: that for weights has to prove itself too."""
    return usable("convolution", x) and x.dtype is torch.bfloat16 and _proved("gradient", x.dtype)


@lru_cache
def _proved(kind: str, dtype: torch.dtype) -> bool:
    try:
        from models.kernels.self_test import CHECKS

        CHECKS[kind](torch.device("cuda"), dtype)
    except Exception as error:  # no Triton, no C compiler, another GPU, a wrong result: the plain way needs none of it
        log.warning("steps are slower without the fused %s: %s", kind, str(error).partition("\n")[0])
        return False
    return True
