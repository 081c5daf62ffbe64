"""Judges shapes that were made: is each what its prompt asks for, as a classifier sees it?"""

from __future__ import annotations

from collections.abc import Sequence

from models.shape import Shape, Voxels
from training.classifier import ShapeClassifier, judge
from training.evaluation.jobs import Job
from training.scoring import Score, parent_iou


def score(classifier: ShapeClassifier, job: Job, shape: Shape) -> Score:
    """What the classifier sees of the coarse shape, and how well the fine one covers it."""
    recognised, certainty, attribute = _seen(classifier, job, shape.coarse)
    fine = shape.fine
    factor = 1 if fine is None else round(shape.coarse.voxel_size / fine.voxel_size)
    return Score(
        job.key, job.prompt, job.kind, recognised, certainty, attribute, len(shape.coarse),
        0 if fine is None else len(fine), 0.0 if fine is None else parent_iou(fine, shape.coarse, factor),
    )  # fmt: skip


def shares(classifier: ShapeClassifier, jobs: Sequence[Job], shapes: Sequence[Voxels]) -> tuple[float, float]:
    """Of any coarse shapes for some jobs: the shares of right kinds, and of right attributes where one is named."""
    seen = [_seen(classifier, job, shape) for job, shape in zip(jobs, shapes, strict=True)]
    kinds = [recognised == job.kind for job, (recognised, _, _) in zip(jobs, seen, strict=True)]
    named = [attribute for _, _, attribute in seen if attribute is not None]
    return sum(kinds) / len(kinds), sum(named) / len(named) if named else float("nan")


def _seen(classifier: ShapeClassifier, job: Job, coarse: Voxels) -> tuple[str, float, bool | None]:
    if not len(coarse):
        return "", 0.0, False if job.asked else None
    sight = judge(classifier, coarse)
    attribute = None
    if job.asked:
        attribute = all(sight.values.get((job.kind, name)) == value for name, value in job.asked.items())
    return sight.kind, sight.kinds.get(job.kind, 0.0), attribute
