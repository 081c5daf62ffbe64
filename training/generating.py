"""Many shapes at once from prompts and seeds, as evaluation needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.pipeline import Pipeline
from models.shape import Shape


@dataclass(frozen=True)
class Controls:
    """How each shape is generated, as `models.pipeline.Pipeline.generate` takes it."""

    steps: int
    fine_steps: int
    guidance_scale: float
    scheduler: str
    guidance_interval: tuple[float, float]


def generate(pipeline: Pipeline, prompts: Sequence[str], seeds: Sequence[int], wanted: Controls) -> list[Shape]:
    """Coarse and, where there is a fine model, fine shapes of some prompts, in one batch.

    A shape without any coarse voxel has no fine one.
    """
    texts = pipeline.text.encode(prompts)
    states = [
        pipeline.coarse.start(
            text, seed=seed, steps=wanted.steps, guidance_scale=wanted.guidance_scale, scheduler=wanted.scheduler,
            guidance_interval=wanted.guidance_interval,
        )
        for seed, text in zip(seeds, texts, strict=True)
    ]  # fmt: skip
    coarse = pipeline.coarse.decode(pipeline.coarse.denoise(states, wanted.steps))
    stage = pipeline.fine
    full = [index for index, shape in enumerate(coarse) if len(shape)] if stage is not None else []
    if stage is None or not full:
        return [Shape(shape, None, seed) for shape, seed in zip(coarse, seeds, strict=True)]
    starts = [
        stage.start(coarse[index], texts[index], seed=seeds[index], steps=wanted.fine_steps, scheduler=wanted.scheduler)
        for index in full
    ]
    fine = dict(zip(full, stage.decode(stage.denoise(starts, wanted.fine_steps)), strict=True))
    return [Shape(shape, fine.get(n), seeds[n]) for n, shape in enumerate(coarse)]
