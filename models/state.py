"""A sample under way, as plain data: it can wait, travel to another process and go on there, bit for bit."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from models.config import DenseUNetConfig, Stage, StageConfig
from models.errors import StateError
from models.presets import Network, model_of
from models.schedulers import SCHEDULERS

STATE_VERSION = 6
ALWAYS = (0.0, 1.0)
"""The guidance interval that is the whole run."""


@dataclass(frozen=True)
class DiffusionState:
    """One sample between two denoising steps.

    x: the noisy latent, float32 [V, C], rows in ascending voxel order. step: the index of the next step, 0 … steps.
    text: the prompt's token states, float32 [n, D]. ijk (int16 [V, 3]) and normal (float32 [V, 3], normalised) carry
    the coarse shape in the fine stage and are None in the coarse one, whose latents fill a cube. previous: the clean
    latent predicted by the step before, for multistep schedulers. weights: names those that made it, where somebody
    keeps states for later; a state means nothing to other weights. guidance_interval: the part of the run, from 0 at
    pure noise to 1, in which guidance is applied (Kynkäänniemi et al., "Applying Guidance in a Limited Interval
    Improves Sample and Distribution Quality in Diffusion Models", 2024). known (float32 [V, C]) and free (bool [V]):
    the clean latent of which everything that is not free stays, as in RePaint (Lugmayr et al., "RePaint: Inpainting
    using Denoising Diffusion Probabilistic Models", 2022); None where all may change. network: which of the stage's
    denoisers takes its steps.
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
    guidance_interval: tuple[float, float] = ALWAYS
    known: Tensor | None = None
    free: Tensor | None = None
    network: Network = "standard"

    @property
    def model(self) -> str:
        """The name of the model that takes its steps, see `models.presets.model_of`."""
        return model_of(self.stage, self.network)

    @property
    def guided(self) -> bool:
        """Whether guidance is applied in the next step, which takes a second row then."""
        return self.guidance_scale != 1.0 and self._inside(self.step)

    @property
    def steps_alike(self) -> int:
        """How many of the next steps are all guided, or all not."""
        ahead = range(self.step + 1, self.steps)
        turn = next((step for step in ahead if self._inside(step) != self._inside(self.step)), self.steps)
        return turn - self.step

    @property
    def done(self) -> bool:
        """Whether every step has been taken, so that the state can be decoded."""
        return self.step >= self.steps

    def _inside(self, step: int) -> bool:
        low, high = self.guidance_interval
        return low <= step / self.steps < high

    def to(self, device: torch.device | str) -> DiffusionState:
        """The same state with what changes from step to step, and the normals, on `device`."""
        moved: dict[str, Any] = {
            name: None if tensor is None else tensor.to(device)
            for name, tensor in ((name, getattr(self, name)) for name in _MOVED)
        }
        return replace(self, **moved)

    def check(self, config: StageConfig) -> None:
        """Lets pass a state that came from elsewhere, if it is one of a stage such as this.

        Raises:
            StateError: Its parts have other sizes, or it asks for steps that this stage does not take.
        """
        unet = config.unet
        fits = self.x.shape[1] == unet.out_channels and self.text.shape[1] == unet.context_dim
        if isinstance(unet, DenseUNetConfig):
            fits = fits and self.ijk is None and len(self.x) == unet.image_size**3
        else:
            side = config.vae.latent_resolution
            fits = fits and self.ijk is not None and -side <= int(self.ijk.min()) and int(self.ijk.max()) < side
        if not fits or self.steps > config.schedule.num_train_timesteps or self.scheduler not in SCHEDULERS:
            raise StateError(f"a saved state does not fit the {config.stage} model: start the generation again")

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
            values["guidance_interval"] = tuple(values["guidance_interval"])
            state = cls(**values, **dict[str, Any]({name: tensors.get(name) for name in _TENSORS}))
            state._check()
        except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise StateError("a saved state cannot be read: start the generation again") from error
        return state

    def _check(self) -> None:
        """Raises ValueError or TypeError where the parts cannot be those of one state."""
        rows = len(self.x)
        shapes = {
            "x": (torch.float32, (rows, self.x.shape[-1])),
            "text": (torch.float32, (len(self.text), self.text.shape[-1])),
            "ijk": (torch.int16, (rows, 3)),
            "normal": (torch.float32, (rows, 3)),
            "previous": (torch.float32, (rows, self.x.shape[-1])),
            "known": (torch.float32, (rows, self.x.shape[-1])),
            "free": (torch.bool, (rows,)),
        }
        present = {"x", "text", "ijk", "normal"} if self.stage == "fine" else {"x", "text"}
        for name, (dtype, shape) in shapes.items():
            tensor = getattr(self, name)
            if tensor is None and name in present:
                raise ValueError(f"{name} is missing")
            if tensor is not None and (tensor.dtype, tuple(tensor.shape)) != (dtype, shape):
                raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}")
        if (self.known is None) != (self.free is None):
            raise ValueError("known and free go together")
        numbers = (self.seed, self.steps, self.step)
        low, high = self.guidance_interval
        named = self.stage in get_args(Stage) and self.network in get_args(Network)
        if not named or not all(type(number) is int for number in numbers):
            raise TypeError("a value has another type")
        scale_is_finite = float(self.guidance_scale) < float("inf")
        if not rows or not 0 <= self.step <= self.steps or not scale_is_finite or not 0 <= low <= high <= 1:
            raise ValueError("a value is out of range")


_TENSORS = ("x", "text", "ijk", "normal", "previous", "known", "free")
_MOVED = ("x", "normal", "previous", "known", "free")
_VALUES = ("stage", "seed", "steps", "step", "scheduler", "guidance_scale", "weights", "guidance_interval", "network")
