"""What evaluation measures on generated shapes, as plain records that can be written down and read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.shape import Voxels


@dataclass(frozen=True)
class Score:
    """One generated shape. attribute: whether the named attribute was recognised, None where none was named.

    iou: of the fine voxels' parents with the coarse voxels, 0 where there is no fine shape.
    """

    key: str
    prompt: str
    wanted: str
    recognised: str
    attribute: bool | None
    coarse_voxels: int
    fine_voxels: int
    iou: float


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


def append_score(path: Path, score: Score) -> None:
    """Adds one line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(score)) + "\n")


def read_scores(path: Path) -> dict[str, Score]:
    """The scores written so far by key; a last line cut short by a kill is left out."""
    scores: dict[str, Score] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            score = Score(**json.loads(line))
        except (ValueError, TypeError):
            continue
        scores[score.key] = score
    return scores
