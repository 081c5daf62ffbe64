"""One table of what the pair makes beside its baselines, and beside true shapes that it has never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.shape import Voxels
from training.classifier import ShapeClassifier
from training.evaluation.captions import Search
from training.evaluation.goals import written
from training.evaluation.jobs import Job, second_seeds, without_guidance
from training.evaluation.judging import shares
from training.evaluation.making import Maker
from training.evaluation.novelty import Spread, spreads
from training.evaluation.references import FIRST_HELDOUT, SECOND_HELDOUT, References
from training.recipe import COARSE, Recipe


@dataclass(frozen=True)
class Column:
    """A collection of shapes of the scored prompts: shares of right kinds and named attributes, and how it spreads."""

    category: float
    attribute: float
    spread: Spread


def compare(
    maker: Maker, scored: Sequence[Job], classifier: ShapeClassifier, recipe: Recipe, search: Search,
    training: Sequence[Voxels], folder: Path,
) -> dict[str, Column]:  # fmt: skip
    """The columns by name: the pair, the pair without guidance, the training shape of the nearest caption, true shapes.

    Args:
        maker: Has made the jobs, their second seeds, and those without guidance.
        scored: The jobs.
        classifier: Of kinds and attributes.
        recipe: The pair was trained by.
        search: Of its captions.
        training: Coarse training shapes.
        folder: Keeps the true shapes.
    """
    references = References(recipe, folder)
    heldout = references.heldout(scored, FIRST_HELDOUT)
    again = references.heldout(scored, SECOND_HELDOUT)
    made = [maker.shape(job).coarse for job in scored]
    looked_up = references.looked_up(scored, search)
    firsts = [shape for job, shape in zip(scored, made, strict=True) if job.first]
    collections: dict[str, Sequence[Voxels]] = {
        "generated": made,
        "no guidance": [maker.shape(job).coarse for job in without_guidance(scored)],
        "nearest caption": looked_up,
        "held-out shapes": again,
    }
    others: Mapping[str, list[tuple[Voxels, Voxels]]] = {
        "generated": list(zip(firsts, (maker.shape(job).coarse for job in second_seeds(scored)), strict=True)),
        # Whatever the seed, the same caption is nearest.
        "nearest caption": list(zip(looked_up, looked_up, strict=True)),
        "held-out shapes": list(zip(again, heldout, strict=True)),
    }
    found = spreads(collections, others, heldout, training, COARSE)
    return {name: Column(*shares(classifier, scored, shapes), found[name]) for name, shapes in collections.items()}


def table(columns: Mapping[str, Column]) -> list[str]:
    """The columns side by side, as lines."""
    rows = (
        ("right kind", [c.category for c in columns.values()]),
        ("named attribute", [c.attribute for c in columns.values()]),
        ("1-NN accuracy (best: as held-out shapes)", [c.spread.chamfer.one_nn for c in columns.values()]),
        ("coverage of held-out shapes", [c.spread.chamfer.coverage for c in columns.values()]),
        ("minimum matching distance, of the side", [c.spread.chamfer.mmd for c in columns.values()]),
        ("IoU with the nearest training shape", [c.spread.training_iou for c in columns.values()]),
        ("nearer to training than held-out (50%: new)", [c.spread.copied for c in columns.values()]),
        ("two seeds or shapes: 1 - IoU", [c.spread.variety for c in columns.values()]),
    )
    head = ("compared on the same prompts", list(columns))
    lines = [head, *((name, [written(value, "%") for value in row]) for name, row in rows)]
    return [f"{name:44s} {' '.join(f'{cell:>16s}' for cell in cells)}" for name, cells in lines]
