"""Weights in eight bits: each row of a matrix as whole numbers from -127 to 127, with one scale.

So are students stored, beside whose teachers the shipped models would else be too large. They run as before: what is
read is float32 again.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE = ".scale"
_LARGEST = 127


def quantised(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every matrix as int8 with a float32 scale for each of its rows under `<name>.scale`; what is none as float16."""
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            stored[name] = weight.detach().half().cpu().contiguous()
            continue
        rows = weight.detach().float().cpu().flatten(1)
        scale = rows.abs().amax(dim=1) / _LARGEST
        safe = scale.where(scale > 0, torch.ones_like(scale))
        stored[name] = (rows / safe[:, None]).round().to(torch.int8).view(weight.shape)
        stored[name + _SCALE] = scale
    return stored


def restored(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `quantised` as float32, as far as eight bits tell; weights without a scale stay as they are."""
    weights = {name: value.float() for name, value in stored.items() if not name.endswith(_SCALE)}
    for name, scale in stored.items():
        rows = weights.get(name.removesuffix(_SCALE)) if name.endswith(_SCALE) else None
        if rows is not None:
            weights[name.removesuffix(_SCALE)] = rows * scale.float().view(-1, *[1] * (rows.ndim - 1))
    return weights


def with_scales(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what `quantised` makes of weights of these names and shapes."""
    scales = {name + _SCALE: shape[:1] for name, shape in shapes.items() if len(shape) > 1}
    return {**shapes, **scales}
