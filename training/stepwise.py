"""Which step of the pair loses a surface: true shapes followed through each decoder and denoiser by itself.

Models that are served hold no encoder. A decoder is therefore given the latents that suit a shape best under the loss
that it was trained with, found by gradient descent: no encoder and no denoiser could do better.

The coarse shape does not tell where in a coarse voxel a face lies. A fine stage may put all of it one voxel aside: its
IoU with the true shape is low even where it is good, and roughness, holes and normals are what to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.grids.differentiable import DifferentiableGrid
from models.pipeline import Pipeline
from models.reconstruction import levels_of, normal_loss, structure_loss
from models.shape import Voxels
from models.vae import Decoder, unit_normals
from training.shapes import ShapeSpec, build, caption, sample, voxelize
from training.surface import Field, likeness, surface
from training.surface_table import Measured
from training.vae import NORMAL_WEIGHT

FIT_STEPS, FIT_RATE, PRIOR = 40, 0.3, 5e-4
PLANAR: tuple[tuple[str, dict[str, str]], ...] = (
    ("cube", {"edges": "sharp", "hole": "without"}),
    ("pyramid", {"sides": "smooth"}),
    ("table", {"top": "square"}),
    ("chair", {}),
    ("bookshelf", {}),
    ("house", {}),
)
"""Kinds whose true faces are planes, with the attributes that see to it."""
THIN_KINDS: tuple[tuple[str, dict[str, str]], ...] = (
    ("lamp", {}),
    ("wine glass", {}),
    ("flower", {}),
    ("airplane", {}),
    ("dog", {}),
    ("table", {"legs": "thin"}),
)
"""Kinds with thin or round parts, which the planar ones lack."""
ON_TRUE_COARSE = "fine stage on the true coarse shape"
STEPS = (
    "true shape",
    "coarse decoder, best latents",
    "fine decoder, best latents",
    ON_TRUE_COARSE,
    "coarse decoder, then fine stage",
)


def specs(count: int) -> list[tuple[ShapeSpec, bool]]:
    """Held-out shapes, planar ones and others in turn, each with whether it is planar."""
    wanted = [(kind, fixed, planar) for pair in zip(PLANAR, THIN_KINDS, strict=True)
              for (kind, fixed), planar in zip(pair, (True, False), strict=True)]  # fmt: skip
    made = []
    for number in range(count):
        kind, fixed, planar = wanted[number % len(wanted)]
        drawn = sample(number, kind, "heldout")
        spec = ShapeSpec(kind, drawn.attributes | fixed, drawn.variation, "")
        text = caption(spec, np.random.default_rng(number), "heldout")
        made.append((ShapeSpec(kind, spec.attributes, spec.variation, text), planar))
    return made


def fitted(decoder: Decoder, truth: Voxels, steps: int = FIT_STEPS) -> Voxels:
    """The shape that a decoder makes of the latents that suit `truth` best."""
    config = decoder.config
    device = next(decoder.parameters()).device
    grid = DifferentiableGrid.from_ijk(torch.from_numpy(truth.ijk).int().to(device))
    normals = torch.from_numpy(truth.normal).to(device)
    targets = levels_of(grid, config)
    start = DifferentiableGrid.dense(config.latent_resolution, device=device) if config.dense_latent else targets[0]
    # Not from zero: a group norm tells nothing of latents that are all alike.
    latent = torch.randn(len(start), config.latent_channels, generator=torch.Generator().manual_seed(0))
    latent = latent.to(device).requires_grad_(True)
    optimizer = torch.optim.Adam([latent], lr=FIT_RATE, betas=(0.9, 0.95))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = FIT_RATE * (1 - 0.9 * step / steps)
        decoded = decoder(latent, start, targets)
        loss = structure_loss(decoded) + NORMAL_WEIGHT * normal_loss(decoded.normals, normals)
        optimizer.zero_grad()
        (loss + PRIOR * latent.square().mean()).backward()
        optimizer.step()
    with torch.no_grad():
        decoded = decoder(latent, start)
        return _voxels(decoded.grid.ijk, unit_normals(decoded.normals), truth.voxel_size)


class Stepwise:
    """The pair, and the steps of the fine stage. fit_steps: of gradient descent for a decoder's best latents."""

    def __init__(self, pipeline: Pipeline, steps: int, scheduler: str, fit_steps: int = FIT_STEPS) -> None:
        self.pipeline, self.steps, self.scheduler, self.fit_steps = pipeline, steps, scheduler, fit_steps

    def measure(
        self, chosen: Sequence[tuple[ShapeSpec, bool]], told: Callable[[int], None], wanted: Sequence[str] = STEPS
    ) -> dict[str, list[Measured]]:
        """What is left of the shapes after each of the wanted STEPS; `told` is called with how many are done."""
        found: dict[str, list[Measured]] = {step: [] for step in wanted}
        for done, (spec, planar) in enumerate(chosen, start=1):
            for step, measured in self.one(spec, planar, wanted).items():
                found[step].append(measured)
            told(done)
        return found

    def one(self, spec: ShapeSpec, planar: bool, wanted: Sequence[str] = STEPS) -> dict[str, Measured]:
        """What is left of a shape after each of the wanted STEPS, without those that leave nothing."""
        coarse_stage, fine_stage = self.pipeline.coarse, self.pipeline.fine
        assert fine_stage is not None
        made = voxelize(spec)
        coarse = _voxels(made.coarse_ijk, made.coarse_normal, 1 / 32)
        fine = _voxels(made.fine_ijk, made.fine_normal, 1 / 128)
        field = field_of(spec)

        @cache
        def again() -> Voxels:
            return fitted(coarse_stage.decoder, coarse, self.fit_steps)

        ways: tuple[tuple[Voxels, Callable[[], Voxels]], ...] = (
            (fine, lambda: fine),
            (coarse, again),
            (fine, lambda: fitted(fine_stage.decoder, fine, self.fit_steps)),
            (fine, lambda: self._fine(coarse, spec.caption)),
            (fine, lambda: self._fine(again(), spec.caption)),
        )
        results = {step: (truth, way()) for step, (truth, way) in zip(STEPS, ways, strict=True) if step in wanted}
        return {
            step: Measured(spec.category, planar, surface(shape), likeness(truth, shape, fine, field))
            for step, (truth, shape) in results.items()
            if len(shape)
        }

    def _fine(self, coarse: Voxels, prompt: str) -> Voxels:
        stage = self.pipeline.fine
        assert stage is not None
        text = self.pipeline.text.encode([prompt])[0]
        state = stage.start(coarse, text, seed=0, steps=self.steps, scheduler=self.scheduler)
        return stage.decode(stage.denoise([state], self.steps))[0]


def field_of(spec: ShapeSpec) -> Field:
    """The true surface of a procedural shape."""
    solid = build(spec)

    def distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = torch.from_numpy(points).T.contiguous()
        result: NDArray[np.float64] = solid((x, y, z)).numpy()
        return result

    return distances


def _voxels(ijk: Tensor, normal: Tensor, voxel_size: float) -> Voxels:
    return Voxels(ijk.short().cpu().numpy(), normal.float().cpu().numpy(), voxel_size)
