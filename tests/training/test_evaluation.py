"""An evaluation keeps what it has made, prints goals beside figures, and picks no picture by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import CheckpointError, ConfigError
from models.shape import Shape, Voxels
from tests.support.paths import DEMO
from training.classifier import CLASSIFIER_FILE
from training.evaluation import making
from training.evaluation.goals import Line, all_met
from training.evaluation.jobs import Job, plain_jobs
from training.evaluation.lines import composed_lines, plain_line
from training.evaluation.making import Maker, packed, unpacked
from training.evaluation.pair import classifiers, find_classifier, load_pair
from training.evaluation.pictures import failures, lowest
from training.generating import Controls
from training.recipe import DEMO as RECIPE
from training.recipe import NEXT
from training.scoring import Score

JOBS = [Job("prompts", f"a mug {n}", n, "mug", fine=n < 2) for n in range(4)]


def cube(side: int, resolution: int = 32) -> Voxels:
    axis = np.arange(-side, side)
    ijk = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3).astype(np.int16)
    normal = ijk + np.float32(0.5)
    return Voxels(ijk, normal / np.linalg.norm(normal, axis=1, keepdims=True), 1 / resolution)


def score(key: str, recognised: str, certainty: float, attribute: bool | None = None) -> Score:
    return Score(key, key, "mug", recognised, certainty, attribute, 8, 0, 0.0)


def test_a_kept_shape_is_the_one_that_was_made() -> None:
    shape = Shape(cube(3), cube(12, 128), 7)
    again = unpacked(packed(shape), 7)
    for one, other in ((shape.coarse, again.coarse), (shape.fine, again.fine)):
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.ijk, other.ijk)
        assert one.voxel_size == other.voxel_size
        assert np.degrees(np.arccos((one.normal * other.normal).sum(1).clip(-1, 1))).max() < 0.5
    assert unpacked(packed(Shape(cube(3), None, 7)), 7).fine is None
    empty = Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / 32)
    assert len(unpacked(packed(Shape(empty, None, 7)), 7).coarse) == 0


def test_an_evaluation_that_was_stopped_makes_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def make(pipeline: Any, prompts: list[str], seeds: list[int], wanted: Controls) -> list[Shape]:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(prompts)
        return [Shape(cube(2), None, seed) for seed in seeds]

    monkeypatch.setattr(making, "generate", make)
    monkeypatch.setattr(making, "Pipeline", lambda *models: models)
    maker = Maker(SimpleNamespace(text=None, coarse=None), tmp_path, Controls(1, 1, 7.5, "ddim", (0, 1)))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        maker.make(JOBS, 1)
    asked.clear()
    maker.make(JOBS, 2)
    # Those with fine shapes come first, and were done.
    assert asked == [["a mug 2", "a mug 3"]]
    asked.clear()
    maker.make(JOBS, 2)
    assert asked == []
    assert len(maker.shape(JOBS[3]).coarse) == 64


def test_a_goal_is_met_on_its_side_alone_and_what_is_not_measured_misses_none() -> None:
    assert Line("a", 0.85, 0.85).met is True
    assert Line("a", 0.849, 0.85).met is False
    assert Line("a", 12.1, 12, "°", at_most=True).met is False
    assert Line("a", 0.3).met is Line("a", math.nan, 0.5).met is None
    assert all_met([Line("a", 1, 0.9), Line("b", math.nan, 0.5), Line("c", 0.1)])
    assert not all_met([Line("a", 1, 0.9), Line("b", 0.4, 0.5)])
    assert str(Line("normals", 9.96, 12, "°", at_most=True)).split() == [
        "normals",
        "10.0°",
        "at",
        "most",
        "12.0°",
        "met",
    ]
    assert str(Line("pieces", 0.9, 0.97)).split() == ["pieces", "90.0%", "at", "least", "97.0%", "MISSED"]


def test_a_composition_is_right_only_if_all_its_words_are() -> None:
    jobs = [Job("composed", "a", n, "mug", {"size": "tall"}, way=way) for n, way in enumerate(["a colour", "a plural"])]
    lines = composed_lines(list(zip(jobs, [score("a", "mug", 1, True), score("b", "mug", 1, False)], strict=True)))
    assert [line.value for line in lines] == [0.5, 1.0, 1.0, 0.0]
    assert [line.goal for line in lines] == [0.85, None, None, None]


def test_failures_are_the_lowest_scored_and_say_what_was_seen(tmp_path: Path) -> None:
    scores = [
        score("sure", "mug", 0.99), score("half", "mug", 0.6, False),
        score("worst", "bowl", 0.1), score("none", "", 0.0),
    ]  # fmt: skip
    assert lowest(scores, 3) == [3, 2, 1]
    page, wrong = failures(JOBS, scores, lambda job: Shape(cube(2), None, job.seed), tmp_path)
    assert wrong == 3
    rows = [line for line in page.read_text().splitlines() if line.startswith("| a mug")]
    assert [row.split(" | ")[4] for row in rows] == ["nothing", "bowl", "the kind, not its attributes", "as asked"]
    assert (tmp_path / "failures.png").stat().st_size > 1000


def test_prompts_that_are_a_name_alone_have_a_goal_of_their_own() -> None:
    jobs = plain_jobs(("mug", "axe"))
    assert [(job.prompt, job.kind, job.fine) for job in jobs] == [("a mug", "mug", False), ("an axe", "axe", False)]
    assert len({job.key for job in [*jobs, *plain_jobs(("mug", "axe", "bowl"))]}) == 3
    line = plain_line([score("a", "mug", 0.9), score("b", "bowl", 0.9)])
    assert (line.name, line.value, line.met) == ("right kind, 2 plain names", 0.5, False)


def test_a_folder_without_one_pair_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no text model; give a folder"):
        load_pair(tmp_path, "cpu")  # type: ignore[arg-type]
    for name in ("next", "turbo"):
        (tmp_path / f"{name}_text").mkdir()
        (tmp_path / f"{name}_text" / "model.safetensors").touch()
    with pytest.raises(ConfigError, match="holds next and turbo; give"):
        load_pair(tmp_path, "cpu")  # type: ignore[arg-type]


def test_a_classifier_of_other_kinds_or_none_is_told(tmp_path: Path) -> None:
    device = torch.device("cpu")
    (shipped,) = (place for place in classifiers(DEMO, "next", None) if place.exists())
    assert shipped == DEMO / CLASSIFIER_FILE
    classifier = find_classifier([tmp_path / "none", shipped], tmp_path, tmp_path, RECIPE, device)
    assert classifier.labels.kinds == RECIPE.kinds
    with pytest.raises(CheckpointError, match="is no classifier of these 82 kinds"):
        find_classifier([shipped], tmp_path, tmp_path, NEXT, device)
    with pytest.raises(ConfigError, match="is no file; give a classifier"):
        classifiers(DEMO, "next", tmp_path / "none")
