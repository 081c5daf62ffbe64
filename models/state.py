"""A sample under way, as plain data: it can wait, travel to another process and go on there, bit for bit."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from models.config import Stage
from models.errors import StateError

STATE_VERSION = 3


@dataclass(frozen=True)
class DiffusionState:
    """One sample between two denoising steps.

    x: the noisy latent, float32 [V, C], rows in ascending voxel order. step: the index of the next step, 0 … steps.
    text: the prompt's token states, float32 [n, D]. ijk (int16 [V, 3]) and normal (float32 [V, 3], normalised) carry
    the coarse shape in the fine stage and are None in the coarse one, whose latents fill a cube. previous: the clean
    latent predicted by the step before, for multistep schedulers. weights: names those that made it, where somebody
    keeps states for later; a state means nothing to other weights.
    """

    stage: Stage
    seed: int
    steps: int
    step: int
    scheduler: str
    guidance_scale: float
    x: Tensor
    text: Tensor
    ijk: Tensor | None = None
    normal: Tensor | None = None
    previous: Tensor | None = None
    weights: str = ""

    @property
    def done(self) -> bool:
        """Whether every step has been taken, so that the state can be decoded."""
        return self.step >= self.steps

    def to(self, device: torch.device | str) -> DiffusionState:
        """The same state with what changes from step to step, and the normals, on `device`."""
        moved: dict[str, Any] = {
            name: None if tensor is None else tensor.to(device)
            for name, tensor in (("x", self.x), ("normal", self.normal), ("previous", self.previous))
        }
        return replace(self, **moved)

    def to_bytes(self) -> bytes:
        """The state as a safetensors file in memory."""
        tensors = {
            name: tensor.detach().cpu().contiguous() for name in _TENSORS if (tensor := getattr(self, name)) is not None
        }
        values = {name: getattr(self, name) for name in _VALUES}
        return save(tensors, {"state": json.dumps({"version": STATE_VERSION, **values})})

    @classmethod
    def from_bytes(cls, data: bytes) -> DiffusionState:
        """The inverse of `to_bytes`, on the CPU. Raises StateError for anything else, other versions included."""
        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            values = json.loads(header["__metadata__"]["state"])
            version = values.pop("version")
            if version != STATE_VERSION:
                raise StateError(
                    f"a saved state has version {version}, this program reads {STATE_VERSION}: start it again"
                )
            return cls(**values, **dict[str, Any]({name: tensors.get(name) for name in _TENSORS}))
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise StateError("a saved state cannot be read: start the generation again") from error


_TENSORS = ("x", "text", "ijk", "normal", "previous")
_VALUES = ("stage", "seed", "steps", "step", "scheduler", "guidance_scale", "weights")
