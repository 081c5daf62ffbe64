"""Do generated shapes spread as true ones do, and are they more than copies of what training saw?

For each collection of shapes there is a figure of true shapes beside it, which tells what can be reached: a second
collection of held-out shapes in the place of the generated one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.shape import Voxels
from training.closeness import Closeness, Ijk, cells, chamfer_distances, closeness, iou_distances
from training.engine import progress_bar
from training.scoring import diversity


@dataclass(frozen=True)
class Spread:
    """A collection of shapes against held-out and against training shapes.

    chamfer: minimum matching distance, coverage (Achlioptas et al., 2018) and accuracy of the nearest neighbour (Yang
    et al., "PointFlow", 2019), against held-out shapes of the same prompts. training_iou: intersection over union with
    the most similar training shape, the median; 1 where shapes are copies. copied: the chance that one of the
    collection is more similar to its nearest training shape than a held-out one is, ties counting half: the
    Mann-Whitney statistic of Meehan et al. ("A non-parametric test to detect data-copying in generative models", 2020),
    0.5 where nothing is copied. variety: mean of 1 - intersection over union with another shape of the same prompt,
    not a number where there is none.

    The accuracy of the nearest neighbour is 0.5 for collections that nothing tells apart only where each holds many
    shapes of a kind: of few, a shape's nearest is mostly in the other collection.
    """

    chamfer: Closeness
    training_iou: float
    copied: float
    variety: float


def spreads(
    collections: Mapping[str, Sequence[Voxels]], others: Mapping[str, Sequence[tuple[Voxels, Voxels]]],
    heldout: Sequence[Voxels], training: Sequence[Voxels], resolution: int,
) -> dict[str, Spread]:  # fmt: skip
    """The figures of each collection.

    Args:
        collections: Coarse shapes by name.
        others: By the same names, pairs of shapes of the same prompt.
        heldout: Held-out shapes of the prompts.
        training: Training shapes among which the nearest one is looked for.
        resolution: Voxels a side.
    """
    every = [ijk for shapes in (*collections.values(), heldout) for ijk in _ijk(shapes)]
    with progress_bar("compare", len(every)) as bar:
        table = cells(every, resolution)
        chamfer = chamfer_distances(table, resolution, lambda n: bar.advance(n, fraction=n / len(every)))
    similar = nearest_iou(every, _ijk(training), resolution)
    real = range(len(every) - len(heldout), len(every))
    found, start = {}, 0
    for name, shapes in collections.items():
        rows = range(start, start := start + len(shapes))
        pairs = [(one.ijk, other.ijk) for one, other in others.get(name, ())]
        found[name] = Spread(
            closeness(chamfer, rows, real), float(np.median(similar[rows.start : rows.stop])),
            above(similar[rows.start : rows.stop], similar[real.start : real.stop]), diversity(pairs),
        )  # fmt: skip
    return found


def nearest_iou(shapes: Sequence[Ijk], training: Sequence[Ijk], resolution: int) -> np.ndarray:
    """Of each shape the largest intersection over union with any training shape, float64 [N]."""
    between = iou_distances(cells([*shapes, *training], resolution))[: len(shapes), len(shapes) :]
    result: np.ndarray = 1 - between.min(axis=1)
    return result


def above(some: np.ndarray, others: np.ndarray) -> float:
    """The chance that one of `some` is larger than one of `others`, ties counting half: the Mann-Whitney U, scaled."""
    difference = some[:, None] - others[None]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _ijk(shapes: Sequence[Voxels]) -> list[Ijk]:
    return [shape.ijk for shape in shapes]
