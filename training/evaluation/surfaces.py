"""Surfaces of generated shapes beside those of training shapes, and what the fine stage leaves of true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.engine import progress_bar
from training.evaluation.jobs import Job
from training.evaluation.making import Maker
from training.stepwise import ON_TRUE_COARSE, STEPS, Stepwise, specs
from training.surface_table import HEAD, Measured, of_generated, of_training, read_measured, row, write_measured

FOLLOWED = 12
"""True shapes whose coarse voxels the fine stage is given: only there is the true surface known."""


@dataclass(frozen=True)
class Surfaces:
    """Figures of generated and of training shapes, one of each kind, and `table` with all of them as lines.

    normals: the median over true shapes of the median angle in degrees between a voxel's normal, as the fine stage
    makes it on the true coarse shape, and the true surface's. thin: the share of their thin parts that it keeps.
    Roughness is in voxels, of kinds with flat faces; holes and one_piece are shares of shapes.
    """

    one_piece: float
    holes: float
    true_holes: float
    roughness: float
    true_roughness: float
    normals: float
    thin: float
    table: tuple[str, ...]


def surfaces_of(maker: Maker, scored: Sequence[Job], followed: int) -> Surfaces:
    """Measures the fine shapes of the jobs that are `first`; `followed` true shapes are followed through every step."""
    generated = [found for job in scored if job.first if (found := _measured(maker, job)) is not None]
    training = of_training([job.kind for job in scored if job.first])
    steps = Stepwise(maker.pipeline, maker.controls.fine_steps, maker.controls.scheduler)
    count, wanted = (followed, STEPS) if followed else (FOLLOWED, (ON_TRUE_COARSE,))
    with progress_bar("surface", count) as bar:
        left = steps.measure(specs(count), lambda done: bar.advance(done, fraction=done / count), wanted)
    on_true = [m.likeness for m in left[ON_TRUE_COARSE] if m.likeness is not None]
    thin = [like.thin for like in on_true if like.thin is not None]
    return Surfaces(
        _share([m.surface.pieces == 1 for m in generated]),
        _share([m.surface.hole for m in generated]),
        _share([m.surface.hole for m in training]),
        _roughness(generated),
        _roughness(training),
        float(np.median([like.normals for like in on_true])) if on_true else math.nan,
        float(np.mean(thin)) if thin else math.nan,
        (
            HEAD,
            row("training shapes, one of each kind", training),
            row("generated, one of each kind", generated),
            *(row(name, measured) for name, measured in left.items()),
        ),
    )


def _measured(maker: Maker, job: Job) -> Measured | None:
    """The measures of a fine shape, kept beside it; None where there is none."""
    path = maker.beside(job, ".json")
    if not path.exists():
        fine = maker.shape(job).fine
        if fine is None or not len(fine):
            return None
        write_measured(of_generated(job.kind, fine), path)
    return read_measured([path])[0]


def _share(found: Sequence[bool]) -> float:
    return float(np.mean(found)) if found else math.nan


def _roughness(measured: Sequence[Measured]) -> float:
    planar = [m.surface.roughness for m in measured if m.planar]
    return float(np.mean(planar)) if planar else math.nan
