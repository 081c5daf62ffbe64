from __future__ import annotations

import numpy as np
import pytest

from models.shape import Voxels
from training.evaluation.jobs import PER_CATEGORY, QUICK_PROMPTS, scored_jobs, second_seeds, without_guidance
from training.scoring import Score, diversity, parent_iou, summarise
from training.shapes import CATEGORIES


def _voxels(ijk: list[list[int]], size: float) -> Voxels:
    return Voxels(np.array(ijk, np.int16), np.zeros((len(ijk), 3), np.float32), size)


def _score(key: str, recognised: str, attribute: bool | None, iou: float, voxels: int = 5) -> Score:
    return Score(key, key, "mug", recognised, 0.5, attribute, voxels, 50, iou)


def test_parents_of_negative_voxels_are_rounded_down() -> None:
    coarse = _voxels([[-1, 0, 0], [0, 0, 0]], 1 / 32)
    assert parent_iou(_voxels([[-1, 0, 0], [3, 3, 3]], 1 / 128), coarse, 4) == 1
    assert parent_iou(_voxels([[-4, 0, 0]], 1 / 128), coarse, 4) == 0.5


def test_summary_counts_only_named_attributes_and_every_empty_shape() -> None:
    scores = [_score("a", "mug", True, 1.0), _score("b", "cup", False, 0.5), _score("c", "", None, 0.0, voxels=0)]
    summary = summarise(scores, [])
    assert summary.category == pytest.approx(1 / 3)
    assert summary.attribute == 0.5
    assert summary.iou == 0.5
    assert summary.empty == 1


def test_diversity_is_zero_for_equal_and_one_for_disjoint_shapes() -> None:
    a, b = np.array([[0, 0, 0]]), np.array([[1, 0, 0]])
    assert diversity([(a, a)]) == 0
    assert diversity([(a, b)]) == 1


def test_a_shape_of_the_right_kind_with_a_wrong_attribute_is_not_right() -> None:
    assert [_score("a", kind, named, 1.0).right for kind, named in (("mug", True), ("mug", None))] == [True, True]
    assert [_score("a", kind, named, 1.0).right for kind, named in (("mug", False), ("cup", True))] == [False, False]


def test_evaluation_covers_every_category_also_when_quick() -> None:
    for quick, count in ((True, QUICK_PROMPTS), (False, PER_CATEGORY * len(CATEGORIES))):
        scored = scored_jobs(quick)
        seconds, unguided = second_seeds(scored), without_guidance(scored)
        assert len(scored) == len(unguided) == count >= 48
        assert {job.kind for job in scored} == set(CATEGORIES)
        every = [*scored, *seconds, *unguided]
        assert len({job.key for job in every}) == len(every)
        assert [job.prompt for job in seconds] == [job.prompt for job in scored if job.first]
        assert len(seconds) == len(CATEGORIES)
        assert [(job.prompt, job.seed) for job in unguided] == [(job.prompt, job.seed) for job in scored]
