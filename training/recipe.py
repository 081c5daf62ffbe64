"""What is trained and for how long: the demo pair's recipe, one for few meshes, and one that proves every step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from models.config import DenseUNetConfig, SparseUNetConfig, StageConfig, TextConfig, VAEConfig
from training.engine import Optimization
from training.shapes import CATEGORIES, EVERY_KIND

COARSE, FINE, LATENT = 32, 128, 8
"""Resolutions of the demo pair: coarse voxels, fine voxels, coarse latents."""
LATENT_CHANNELS = 8
GENTLER = 0.3
"""Learning rate of a model that has learnt before, against that of a new one."""


@dataclass(frozen=True)
class Plan:
    """How a stage trains: steps at most, samples a step, and the optimizer's settings."""

    steps: int
    batch: int
    optimization: Optimization


@dataclass(frozen=True)
class Recipe:
    """Sizes of data and models, and a plan for each stage.

    shapes are the training shapes, of which the first `fine_shapes` train the fine stage; `classifier_shapes` and
    `test_shapes` come from the held-out split. captions: captions drawn for each shape. kinds: of procedural shapes.
    """

    shapes: int
    fine_shapes: int
    classifier_shapes: int
    test_shapes: int
    captions: int
    text: TextConfig
    coarse: StageConfig
    fine: StageConfig
    text_plan: Plan
    coarse_vae_plan: Plan
    fine_vae_plan: Plan
    coarse_plan: Plan
    fine_plan: Plan
    classifier_plan: Plan
    sample_steps: int
    kinds: tuple[str, ...] = CATEGORIES

    @property
    def coarse_resolution(self) -> int:
        """Coarse voxels a side."""
        return round(1 / self.coarse.voxel_size)

    def at(self, resolution: int) -> Recipe:
        """The recipe with models for shapes of `resolution` fine voxels a side, and a quarter of them coarse.

        The cube of coarse latents has at least 8 cells a side where the coarse voxels allow it, and at most 16.
        """
        side = resolution // 4
        levels = 4 if side >= 128 else 3
        latent = side // 2 ** (levels - 1)
        coarse, fine = self.coarse, self.fine
        return replace(
            self,
            coarse=replace(
                coarse,
                unet=replace(coarse.unet, image_size=latent),
                vae=replace(coarse.vae, num_blocks=levels, latent_resolution=latent),
                voxel_size=1 / side,
            ),
            fine=replace(fine, vae=replace(fine.vae, latent_resolution=side), voxel_size=1 / resolution),
        )

    def with_text(self, text: TextConfig) -> Recipe:
        """The recipe with another text tower, and denoisers that listen to it."""

        def listening(stage: StageConfig) -> StageConfig:
            return replace(stage, unet=replace(stage.unet, context_dim=text.width))

        return replace(self, text=text, coarse=listening(self.coarse), fine=listening(self.fine))

    def gentler(self, stage: str) -> Recipe:
        """The recipe with a lower learning rate for a denoiser that has learnt before."""
        name = f"{stage}_plan"
        plan: Plan = getattr(self, name)
        changed: dict[str, Any] = {name: replace(plan, optimization=plan.optimization.scaled(GENTLER))}
        return replace(self, **changed)

    def lasting(self, factor: float) -> Recipe:
        """The recipe with `factor` times as many steps in every plan."""
        names = ("text_plan", "coarse_vae_plan", "fine_vae_plan", "coarse_plan", "fine_plan")
        plans: dict[str, Any] = {name: getattr(self, name) for name in names}
        return replace(self, **{n: replace(p, steps=max(1, round(p.steps * factor))) for n, p in plans.items()})

    @property
    def classifier_numbers(self) -> range:
        """The held-out shapes that train the classifier."""
        return range(self.classifier_shapes)

    @property
    def test_numbers(self) -> range:
        """The held-out shapes that test it."""
        return range(self.classifier_shapes, self.classifier_shapes + self.test_shapes)


def _coarse(channels: int, blocks: int, f_maps: int, width: int) -> StageConfig:
    unet = DenseUNetConfig(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        image_size=LATENT,
        model_channels=channels,
        channel_mult=(1, 2),
        num_res_blocks=blocks,
        attention_resolutions=(2,),
        num_heads=4,
        context_dim=width,
    )
    vae = VAEConfig(
        num_blocks=3, f_maps=f_maps, latent_channels=LATENT_CHANNELS, latent_resolution=LATENT, dense_latent=True
    )
    return StageConfig(stage="coarse", unet=unet, vae=vae, voxel_size=1 / COARSE)


def _fine(multipliers: tuple[int, ...], f_maps: int, width: int) -> StageConfig:
    unet = SparseUNetConfig(
        in_channels=LATENT_CHANNELS + 6,
        out_channels=LATENT_CHANNELS,
        model_channels=32,
        channel_mult=multipliers,
        num_res_blocks=1,
        attention_resolutions=(4,),
        num_heads=4,
        context_dim=width,
    )
    vae = VAEConfig(
        num_blocks=3, f_maps=f_maps, latent_channels=LATENT_CHANNELS, latent_resolution=COARSE, dense_latent=False
    )
    return StageConfig(stage="fine", unet=unet, vae=vae, voxel_size=1 / FINE)


DEMO = Recipe(
    shapes=16_000,
    fine_shapes=4_000,
    classifier_shapes=3_600,
    test_shapes=1_080,
    captions=16,
    text=TextConfig(width=128, heads=4, layers=4),
    coarse=_coarse(channels=64, blocks=2, f_maps=32, width=128),
    fine=_fine((1, 1, 2), f_maps=16, width=128),
    text_plan=Plan(4_000, 1_024, Optimization(lr=1e-3)),
    coarse_vae_plan=Plan(8_000, 32, Optimization(lr=1e-3, warmup=100)),
    fine_vae_plan=Plan(6_000, 8, Optimization(lr=1e-3, warmup=100)),
    coarse_plan=Plan(24_000, 256, Optimization(lr=6e-4, warmup=300)),
    fine_plan=Plan(12_000, 32, Optimization(lr=1e-3, warmup=300)),
    classifier_plan=Plan(800, 128, Optimization(lr=1e-3, warmup=50, ema=0.99)),
    sample_steps=50,
)

SMOKE = Recipe(
    shapes=96,
    fine_shapes=24,
    classifier_shapes=144,
    test_shapes=36,
    captions=4,
    text=TextConfig(width=32, heads=2, layers=2),
    coarse=_coarse(channels=32, blocks=1, f_maps=8, width=32),
    fine=_fine((1, 1), f_maps=8, width=32),
    text_plan=Plan(60, 64, Optimization(lr=2e-3, warmup=10)),
    coarse_vae_plan=Plan(30, 8, Optimization(lr=2e-3, warmup=10, ema=0.9)),
    fine_vae_plan=Plan(16, 2, Optimization(lr=2e-3, warmup=10, ema=0.9)),
    coarse_plan=Plan(40, 16, Optimization(lr=1e-3, warmup=10, ema=0.9)),
    fine_plan=Plan(24, 4, Optimization(lr=1e-3, warmup=10, ema=0.9)),
    classifier_plan=Plan(60, 32, Optimization(lr=2e-3, warmup=10, ema=0.9)),
    sample_steps=5,
)

SMALL = replace(
    SMOKE,
    text=TextConfig(width=64, heads=4, layers=3),
    coarse=_coarse(channels=32, blocks=1, f_maps=16, width=64),
    fine=_fine((1, 1), f_maps=8, width=64),
    text_plan=Plan(300, 64, Optimization(lr=1e-3, warmup=20, ema=0.99)),
    coarse_vae_plan=Plan(600, 8, Optimization(lr=2e-3, warmup=20, ema=0.99)),
    fine_vae_plan=Plan(300, 2, Optimization(lr=2e-3, warmup=20, ema=0.98)),
    coarse_plan=Plan(1_500, 32, Optimization(lr=1e-3, warmup=50, ema=0.995)),
    fine_plan=Plan(400, 4, Optimization(lr=1e-3, warmup=30, ema=0.99)),
    sample_steps=25,
)
"""For some tens of meshes, on a CPU within an hour."""

NEXT = replace(
    DEMO,
    shapes=24_000,
    fine_shapes=6_000,
    classifier_shapes=4_920,
    test_shapes=1_640,
    fine=_fine((1, 2, 2), f_maps=24, width=128),
    coarse_vae_plan=Plan(12_000, 64, Optimization(lr=1e-3, warmup=100)),
    # A step starts some 3,000 kernels whatever the batch, which takes as long as computing one of 32.
    fine_vae_plan=Plan(12_000, 32, Optimization(lr=1e-3, warmup=100)),
    fine_plan=Plan(24_000, 64, Optimization(lr=1e-3, warmup=300)),
    classifier_plan=Plan(1_600, 128, Optimization(lr=1e-3, warmup=50, ema=0.99)),
    kinds=EVERY_KIND,
)
"""The next demo: all kinds, and more of everything where today's loses surfaces, which is the fine stage."""

NEXT_SMOKE = replace(SMOKE, classifier_shapes=160, test_shapes=80, kinds=EVERY_KIND)
"""Every step of the next demo's training, small."""

PRESETS = {"demo": DEMO, "small": SMALL, "smoke": SMOKE, "next": NEXT, "next-smoke": NEXT_SMOKE}
