"""Many shapes at once from prompts and seeds, as evaluation needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import ConfigError
from models.loading import WEIGHTS_FILE, load_student
from models.pipeline import Pipeline
from models.presets import Network
from models.shape import Shape


@dataclass(frozen=True)
class Controls:
    """How each shape is generated, as `models.pipeline.Pipeline.generate` takes it."""

    steps: int
    fine_steps: int
    guidance_scale: float
    scheduler: str
    guidance_interval: tuple[float, float]
    network: Network = "standard"


def with_students(pipeline: Pipeline, places: Mapping[str, Path]) -> Pipeline:
    """A pipeline with students in place of its denoisers. places: the folders of its models and of these, by kind.

    Raises:
        ConfigError: there are none, or they belong to other models.
        CheckpointError: one cannot be read.
    """
    for stage in ("coarse", "fine"):
        if stage in places and not (places.get(f"turbo_{stage}", Path()) / WEIGHTS_FILE).is_file():
            raise ConfigError(f"preset turbo needs a model turbo_{stage}, which is not there; train it with --distill")
    coarse = load_student(places["turbo_coarse"], places["coarse"], pipeline.coarse)
    if pipeline.fine is None:
        return Pipeline(pipeline.text, coarse)
    return Pipeline(pipeline.text, coarse, load_student(places["turbo_fine"], places["fine"], pipeline.fine))


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
