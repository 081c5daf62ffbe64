"""What the evaluation measures is what a request with the same controls gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.loading import load_coarse, load_fine, load_text
from models.pipeline import Pipeline
from models.presets import PRESETS
from tests.support.paths import DEMO
from training import evaluate
from training.classifier import CLASSIFIER_FILE, load_classifier
from training.evaluate import Controls, Evaluation, jobs
from training.stepwise import STEPS, Stepwise, specs


def test_an_evaluated_shape_is_the_one_that_these_controls_give(tmp_path: Path) -> None:
    text = load_text(DEMO / "demo_text")
    pipeline = Pipeline(text, load_coarse(DEMO / "demo_coarse", text.null), load_fine(DEMO / "demo_fine"))
    controls = Controls(4, 2, 5.0, "dpm++", (0.25, 0.75))
    evaluation = Evaluation(pipeline, load_classifier(DEMO / CLASSIFIER_FILE, "cpu"), tmp_path, controls)
    job = jobs(quick=True)[0][0]
    (ours,) = evaluation.generate([job])
    asked = pipeline.generate(
        job.prompt.prompt, steps=4, fine_steps=2, guidance_scale=5.0, scheduler="dpm++", guidance_interval=(0.25, 0.75),
        seed=job.seed,
    )  # fmt: skip
    for one, other in ((ours.coarse, asked.coarse), (ours.fine, asked.fine)):
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.ijk, other.ijk)
        np.testing.assert_array_equal(one.normal, other.normal)


def test_the_command_line_measures_a_preset_and_what_is_given_wins() -> None:
    def asked(*arguments: str) -> Controls:
        return evaluate._controls(evaluate._parser().parse_args(arguments))

    draft = PRESETS["draft"]
    assert draft.fine_steps is not None
    assert asked("--preset", "draft", "--steps", "20", "--guidance-interval", "0.1", "0.9") == Controls(
        20, draft.fine_steps, 7.5, draft.scheduler, (0.1, 0.9)
    )
    assert asked() == asked("--preset", "standard") == Controls(100, 100, 7.5, "ddim", (0.0, 1.0))


def test_a_true_shape_is_followed_through_every_decoder_and_the_fine_stage() -> None:
    text = load_text(DEMO / "demo_text")
    pipeline = Pipeline(text, load_coarse(DEMO / "demo_coarse", text.null), load_fine(DEMO / "demo_fine"))
    (chosen,) = specs(1)
    found = Stepwise(pipeline, steps=2, scheduler="ddim", fit_steps=12).measure([chosen], lambda done: None)
    assert list(found) == list(STEPS)
    true, fitted, *_ = (measured[0] for measured in found.values())
    assert true.likeness is not None
    assert true.likeness.iou == 1
    assert not true.surface.hole
    assert fitted.likeness is not None
    # Latents of no meaning give about a tenth.
    assert fitted.likeness.iou > 0.5


def test_shapes_that_are_followed_are_held_out_and_every_second_one_is_planar() -> None:
    chosen = specs(24)
    assert [planar for _, planar in chosen] == [True, False] * 12
    assert len({spec.variation for spec, _ in chosen}) == 24
    assert all(spec.attributes["edges"] == "sharp" for spec, _ in chosen if spec.category == "cube")


def test_evaluation_says_where_real_shapes_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "PLACE", tmp_path)
    assert evaluate.real_shapes(tmp_path) == "not measured: Debian's package sweethome3d-furniture is not installed"
    (tmp_path / "a.sh3f").touch()
    assert "scripts/dataset --sweethome3d" in evaluate.real_shapes(tmp_path)
    (tmp_path / "set.json").touch()
    assert f"--data {tmp_path}" in evaluate.real_shapes(tmp_path)
