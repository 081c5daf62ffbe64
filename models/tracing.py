"""Names of stages and blocks in a profiler's trace, such as ``coarse/step`` or ``fine/unet/down 0/residual``.

They appear in a trace of `torch.profiler`, and as NVTX ranges under `torch.autograd.profiler.emit_nvtx` or Nsight
Systems. Without any of these a name costs less than a microsecond.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.autograd import profiler

_UNNAMED = nullcontext()
# Nsight Systems sets this variable in what it runs. PyTorch's own ranges would appear on the thread alone that asked.
_under_nsight = "NSYS_PROFILING_SESSION_ID" in os.environ and torch.version.cuda is not None


def named(name: str) -> AbstractContextManager[object]:
    """What happens within appears under this name, on whichever thread, where somebody takes a trace."""
    if _under_nsight:
        return torch.cuda.nvtx.range(name)
    # PyTorch keeps this variable for checks that cost nothing; a range itself takes microseconds even when off.
    return profiler.record_function(name) if profiler._is_profiler_enabled else _UNNAMED


def unet_names(
    stage: str, encoder: Iterable[nn.Module], middle: nn.Module, decoder: Iterable[nn.Module]
) -> dict[nn.Module, str]:
    """Names of a U-Net's layers: ``STAGE/unet/down 0/residual``, where level 0 is the finest.

    The layers of a block are told apart by what they do: ``residual``, ``downsample``, ``upsample``, ``transformer``,
    and ``convolution`` for the first one of all.
    """
    names: dict[nn.Module, str] = {}
    level = 0
    for block in encoder:
        for layer in block.children():
            names[layer] = f"{stage}/unet/down {level}/{_kind(layer)}"
            level += _kind(layer) == "downsample"
    for layer in middle.children():
        names[layer] = f"{stage}/unet/middle/{_kind(layer)}"
    for block in decoder:
        for layer in block.children():
            names[layer] = f"{stage}/unet/up {level}/{_kind(layer)}"
            level -= _kind(layer) == "upsample"
    return names


def _kind(layer: nn.Module) -> str:
    if hasattr(layer, "cross_attention"):
        return "transformer"
    resample = getattr(layer, "resample", None)
    if resample is None:
        return "convolution"
    return "residual" if resample == "none" else f"{resample}sample"
