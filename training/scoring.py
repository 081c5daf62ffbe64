"""What evaluation measures on generated shapes, as plain records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.shape import Voxels


@dataclass(frozen=True)
class Score:
    """One generated shape. attribute: whether all named attributes were recognised, None where none was named.

    certainty: the probability that the classifier gives to the wanted kind. iou: of the fine voxels' parents with the
    coarse voxels, 0 where there is no fine shape.
    """

    key: str
    prompt: str
    wanted: str
    recognised: str
    certainty: float
    attribute: bool | None
    coarse_voxels: int
    fine_voxels: int
    iou: float

    @property
    def right(self) -> bool:
        """Whether the shape is of the wanted kind, and as the prompt says."""
        return self.recognised == self.wanted and self.attribute is not False


@dataclass(frozen=True)
class Summary:
    """Means over all shapes; `empty` counts shapes without any coarse voxel."""

    shapes: int
    category: float
    attribute: float
    iou: float
    diversity: float
    empty: int


def parent_iou(fine: Voxels, coarse: Voxels, factor: int) -> float:
    """Intersection over union of floor(fine / factor) with the coarse voxels."""
    return set_iou(np.floor_divide(fine.ijk, factor), coarse.ijk)


def set_iou(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """Intersection over union of two sets of voxels [N, 3] and [M, 3]; 0 where both are empty."""
    a, b = ({tuple(voxel) for voxel in voxels.tolist()} for voxels in (first, second))
    return len(a & b) / max(len(a | b), 1)


def diversity(pairs: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]]) -> float:
    """Mean of 1 - IoU between coarse shapes of the same prompt with two seeds."""
    return float(np.mean([1 - set_iou(a, b) for a, b in pairs])) if pairs else float("nan")


def summarise(scores: Sequence[Score], pairs: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]]) -> Summary:
    """The figures of an evaluation."""
    named = [score.attribute for score in scores if score.attribute is not None]
    return Summary(
        len(scores),
        float(np.mean([score.recognised == score.wanted for score in scores])),
        float(np.mean(named)) if named else float("nan"),
        float(np.mean([score.iou for score in scores])),
        diversity(pairs),
        sum(score.coarse_voxels == 0 for score in scores),
    )
