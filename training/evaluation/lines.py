"""Which figures of an evaluation have goals, and how each line is called."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from training.evaluation.compositions import WAYS
from training.evaluation.goals import Line
from training.evaluation.jobs import Job
from training.evaluation.pieces import Recognised
from training.evaluation.surfaces import Surfaces
from training.scoring import Score, summarise

CATEGORY, ATTRIBUTE, COMPOSED, REAL, IOU, ONE_PIECE = 0.98, 0.95, 0.85, 0.85, 0.90, 0.97
MOST_DEGREES, MOST_ROUGHNESS = 12.0, 0.35


def scored_lines(scores: Sequence[Score]) -> list[Line]:
    """Of prompts that name one attribute or none."""
    summary = summarise(scores, [])
    return [
        Line(f"right kind, {summary.shapes} prompts", summary.category, CATEGORY),
        Line("named attribute", summary.attribute, ATTRIBUTE),
        Line("IoU of fine with coarse", summary.iou, IOU),
        Line("shapes without any voxel", summary.empty, 0, "", at_most=True),
    ]


def plain_line(scores: Sequence[Score]) -> Line:
    """Of prompts such as "a mug"."""
    summary = summarise(scores, [])
    return Line(f"right kind, {summary.shapes} plain names", summary.category, CATEGORY)


def composed_lines(judged: Sequence[tuple[Job, Score]]) -> list[Line]:
    """All words of a prompt must be right, and each way in which it is new has a line of its own."""
    right = statistics.mean(s.right for _, s in judged)
    kind = statistics.mean(s.recognised == s.wanted for _, s in judged)
    lines = [
        Line(f"never seen together: all right, {len(judged)} prompts", right, COMPOSED),
        Line("never seen together: right kind", kind),
    ]
    for way in WAYS:
        own = [s.right for job, s in judged if job.way == way]
        if own:
            lines.append(Line(f"  {way}, {len(own)} prompts", statistics.mean(own)))
    return lines


def real_lines(found: Recognised) -> list[Line]:
    """Of captions of real pieces. What the classifier makes of true pieces tells how far to believe it."""
    return [
        Line(f"real: generated furniture, {found.shapes} captions", found.generated, REAL),
        Line(f"real: classifier on {found.pieces} held-out pieces, {found.kinds} kinds", found.classifier),
        Line("real: IoU with the nearest training piece", found.training_iou),
        Line("real: the same of held-out pieces", found.heldout_iou),
        Line("real: nearer to training than held-out ones", found.copied),
    ]


def surface_lines(surfaces: Surfaces) -> list[Line]:
    """Of fine shapes."""
    return [
        Line("in one piece", surfaces.one_piece, ONE_PIECE),
        Line("normals, to the true surface, in the median", surfaces.normals, MOST_DEGREES, "°", at_most=True),
        Line("roughness of flat faces", surfaces.roughness, MOST_ROUGHNESS, "voxels", at_most=True),
        Line("roughness of training shapes", surfaces.true_roughness, None, "voxels"),
        Line("shapes with holes", surfaces.holes),
        Line("training shapes with holes", surfaces.true_holes),
        Line("thin parts kept", surfaces.thin),
    ]
