"""The latent of a given coarse shape, found by gradient descent through the decoder: no model set has an encoder.

It starts from noise that depends on nothing and draws none later, so the same shape has the same latent every time.
A fit under way is plain data, as a generation is: it can wait, travel to another process and go on there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from models.errors import StateError
from models.grids import TorchGrid
from models.grids.differentiable import DifferentiableGrid
from models.noise import noise
from models.reconstruction import levels_of, normal_loss, structure_loss
from models.shape import Voxels
from models.stages import CoarseStage
from models.state import DiffusionState
from models.strength import FIT_STEPS

RATE, LAST_RATE = 0.5, 0.02
"""Step sizes of Adam (Kingma and Ba, 2015) at the begin and at the end."""
MOMENTS = (0.6, 0.8)
START = 2.0
"""Deviation of the latent to start from; the demo models' own have 2.9."""
NORMAL_WEIGHT = 0.2
ROUGH = 0.9
"""The intersection over union with the given shape below which a fit is told to be rough."""


@dataclass(frozen=True)
class Fit:
    """A fit between two steps: the latent, and Adam's running means of its gradient and of the square, all [V, C]."""

    latent: Tensor
    mean: Tensor
    square: Tensor
    step: int = 0
    weights: str = ""

    @property
    def done(self) -> bool:
        """Whether every step has been taken."""
        return self.step >= FIT_STEPS

    def to_bytes(self) -> bytes:
        """The fit as a safetensors file in memory."""
        tensors = {name: getattr(self, name).cpu().contiguous() for name in ("latent", "mean", "square")}
        return save(tensors, {"fit": json.dumps({"step": self.step, "weights": self.weights})})

    @classmethod
    def from_bytes(cls, data: bytes) -> Fit:
        """The inverse of `to_bytes`, on the CPU. Raises StateError for anything else."""
        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            values = json.loads(header["__metadata__"]["fit"])
            fit = cls(
                tensors["latent"], tensors["mean"], tensors["square"], int(values["step"]), str(values["weights"])
            )
            same = {(each.dtype, each.shape) for each in (fit.latent, fit.mean, fit.square)}
            if len(tensors) != 3 or len(same) != 1 or fit.latent.ndim != 2 or fit.latent.dtype != torch.float32:
                raise ValueError("these are not the parts of one fit")
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise StateError("a saved fit cannot be read: start the generation again") from error
        return fit


class Fitting:
    """Fits the latent of one shape.

    Raises:
        ValueError: The shape has no voxel, or some that are not on the grid of the stage.
    """

    def __init__(self, stage: CoarseStage, voxels: Voxels) -> None:
        half = stage.resolution * stage.config.vae.factor // 2
        if not len(voxels):
            raise ValueError("the shape has no voxel: there is nothing to vary")
        if voxels.ijk.min() < -half or voxels.ijk.max() >= half:
            raise ValueError(f"the shape has voxels outside of the grid, which is {-half} to {half - 1}")
        self._stage, self._voxels = stage, voxels
        device = stage.device
        self._grid = DifferentiableGrid.from_ijk(torch.from_numpy(voxels.ijk).to(device).int())
        self._normals = torch.from_numpy(voxels.normal).to(device)
        self._targets = levels_of(self._grid, stage.config.vae)
        self._cube = DifferentiableGrid.dense(stage.resolution, 1, device)

    def start(self) -> Fit:
        """A fit of which no step has been taken."""
        drawn = noise(0, "fit", 0, len(self._cube), self._stage.channels)
        return Fit(START * drawn.abs(), torch.zeros_like(drawn), torch.zeros_like(drawn))

    def advance(self, fit: Fit, steps: int) -> Fit:
        """The fit some steps further, or at its end if that comes first.

        Raises:
            StateError: It is that of another model.
            torch.OutOfMemoryError: The GPU's memory does not suffice.
        """
        if fit.latent.shape != (len(self._cube), self._stage.channels) or fit.step < 0:
            raise StateError("a saved fit does not fit the coarse model: start the generation again")
        latent, mean, square = (each.to(self._stage.device) for each in (fit.latent, fit.mean, fit.square))
        end = min(FIT_STEPS, fit.step + steps)
        for step in range(fit.step, end):
            slope = self._slope(latent)
            mean = torch.lerp(slope, mean, MOMENTS[0])
            square = torch.lerp(slope.square(), square, MOMENTS[1])
            first, second = (1 - moment ** (step + 1) for moment in MOMENTS)
            rate = LAST_RATE + RATE * (0.5 + 0.5 * math.cos(math.pi * step / FIT_STEPS))
            # Latents come out of a ReLU when a model is trained, so none is negative.
            latent = (latent - rate * (mean / first) / ((square / second).sqrt() + 1e-8)).clamp(min=0)
        return replace(fit, latent=latent, mean=mean, square=square, step=end)

    def finished(self, fit: Fit) -> DiffusionState:
        """The finished state of the coarse stage that such a latent belongs to."""
        stage = self._stage
        x = fit.latent * stage.scale_factor
        return DiffusionState(stage.stage, 0, 1, 1, "ddim", 1.0, x, stage.null, weights=fit.weights)

    def likeness(self, fit: Fit) -> float:
        """Intersection over union of the given voxels and of those that the latent is decoded to, 0 to 1."""
        decoded = self._stage.decode([self.finished(fit)])[0]
        grid = TorchGrid.from_ijk(torch.from_numpy(self._voxels.ijk))
        found = torch.from_numpy(decoded.ijk)
        both = int((grid.rows_of(found, torch.zeros(len(found), dtype=torch.int64)) < len(grid)).sum())
        return both / (len(grid) + len(found) - both)

    def _slope(self, latent: Tensor) -> Tensor:
        """The gradient of the difference from the given shape."""
        with torch.enable_grad():
            wanted = latent.detach().requires_grad_()
            decoded = self._stage.decoder(wanted, self._cube, self._targets)
            loss = structure_loss(decoded) + NORMAL_WEIGHT * normal_loss(decoded.normals, self._normals)
            (slope,) = torch.autograd.grad(loss, wanted)
        return slope


def fitted(stage: CoarseStage, voxels: Voxels) -> tuple[DiffusionState, float]:
    """The finished state of a given shape, and how alike its decoded voxels are, 0 to 1.

    Raises:
        ValueError: See `Fitting`.
        torch.OutOfMemoryError: The GPU's memory does not suffice.
    """
    fitting = Fitting(stage, voxels)
    fit = fitting.advance(fitting.start(), FIT_STEPS)
    return fitting.finished(fit), fitting.likeness(fit)


def told(likeness: float) -> tuple[str, ...]:
    """What to say of a shape that the models hold only roughly."""
    if likeness >= ROUGH:
        return ()
    return (f"the models hold the given shape only roughly: its IoU with what they make of it is {likeness:.2f}",)
