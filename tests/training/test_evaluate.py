"""What the evaluation measures is what a request with the same controls gets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import ConfigError
from models.loading import load_coarse, load_fine, load_text
from models.pipeline import Pipeline
from models.presets import PRESETS
from tests.support.paths import DEMO
from training import dataset, evaluate, stepwise
from training.evaluation import demo, pair, pieces, surfaces
from training.evaluation.compositions import composed_jobs
from training.evaluation.jobs import scored_jobs, without_guidance
from training.evaluation.making import Maker
from training.generating import Controls
from training.recipe import DEMO as RECIPE
from training.stepwise import ON_TRUE_COARSE, STEPS, Stepwise, specs


def test_an_evaluated_shape_is_the_one_that_these_controls_give(tmp_path: Path) -> None:
    text = load_text(DEMO / "demo_text")
    pipeline = Pipeline(text, load_coarse(DEMO / "demo_coarse", text.null), load_fine(DEMO / "demo_fine"))
    maker = Maker(pipeline, tmp_path, Controls(4, 2, 5.0, "dpm++", (0.25, 0.75)))
    job = scored_jobs(quick=True)[0]
    bare = without_guidance([job])[0]
    maker.make([job, bare], 1)
    for made, guidance, fine in ((job, 5.0, True), (bare, 1.0, False)):
        ours = maker.shape(made)
        asked = pipeline.generate(
            job.prompt, steps=4, fine_steps=2, guidance_scale=guidance, scheduler="dpm++",
            guidance_interval=(0.25, 0.75), seed=job.seed, use_fine=fine,
        )  # fmt: skip
        assert (ours.fine is not None) == fine
        for one, other in ((ours.coarse, asked.coarse), (ours.fine, asked.fine)):
            if one is None or other is None:
                continue
            np.testing.assert_array_equal(one.ijk, other.ijk)
            # They are kept in 127ths.
            np.testing.assert_allclose(one.normal, other.normal, atol=0.01)


def test_the_command_line_measures_a_preset_and_what_is_given_wins() -> None:
    def asked(*arguments: str) -> Controls:
        return evaluate._controls(evaluate._parser().parse_args(arguments))

    draft = PRESETS["draft"]
    assert draft.fine_steps is not None
    assert asked("--preset", "draft", "--steps", "20", "--guidance-interval", "0.1", "0.9") == Controls(
        20, draft.fine_steps, 7.5, draft.scheduler, (0.1, 0.9)
    )
    assert asked("--preset", "turbo") == Controls(4, 4, 1.0, "ddim", (0.0, 1.0), "turbo")
    with pytest.raises(ConfigError, match="preset turbo takes 4 steps"):
        asked("--preset", "turbo", "--steps", "8")
    assert asked() == asked("--preset", "standard") == Controls(100, 100, 7.5, "ddim", (0.0, 1.0))
    assert asked("--quick") == asked("--preset", "draft")
    assert asked("--quick", "--steps", "20") == asked("--steps", "20")
    assert asked("--quick", "--data", "set") == asked()


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


def test_only_the_steps_that_are_wanted_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    text = load_text(DEMO / "demo_text")
    pipeline = Pipeline(text, load_coarse(DEMO / "demo_coarse", text.null), load_fine(DEMO / "demo_fine"))
    monkeypatch.setattr(stepwise, "fitted", None)
    monkeypatch.setattr(Stepwise, "_fine", lambda _, coarse, prompt: coarse)
    found = Stepwise(pipeline, steps=2, scheduler="ddim").measure(specs(1), lambda done: None, (ON_TRUE_COARSE,))
    assert list(found) == [ON_TRUE_COARSE]
    assert found[ON_TRUE_COARSE][0].likeness is not None


def test_shapes_that_are_followed_are_held_out_and_every_second_one_is_planar() -> None:
    chosen = specs(24)
    assert [planar for _, planar in chosen] == [True, False] * 12
    assert len({spec.variation for spec, _ in chosen}) == 24
    assert all(spec.attributes["edges"] == "sharp" for spec, _ in chosen if spec.category == "cube")


def test_evaluation_says_where_real_shapes_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PLACE", tmp_path)
    assert pieces.missing(tmp_path) == "not measured: Debian's package sweethome3d-furniture is not installed"
    (tmp_path / "a.sh3f").touch()
    assert "scripts/dataset --sweethome3d" in str(pieces.missing(tmp_path))
    (tmp_path / "set.json").touch()
    assert pieces.missing(tmp_path) is None


@pytest.mark.costly
@pytest.mark.timeout(600)
def test_the_demo_is_measured_with_goals_baselines_pictures_and_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (dataset, pair):
        monkeypatch.setattr(module, "SHARD", 2)
    monkeypatch.setattr(demo, "QUICK_TESTS", 2)
    monkeypatch.setattr(demo, "QUICK_COMPARED", 2)
    monkeypatch.setattr(surfaces, "FOLLOWED", 1)
    monkeypatch.setattr(demo, "recipe_of", lambda kinds: replace(RECIPE, shapes=20))
    monkeypatch.setattr(demo, "scored_jobs", lambda quick, kinds: scored_jobs(quick, kinds)[:2])
    monkeypatch.setattr(demo, "composed_jobs", lambda *how: composed_jobs(*how)[:1])
    figures = tmp_path / "figures.json"
    how = ["--quick", "--steps", "4", "--fine-steps", "2", "--scheduler", "dpm++", "--device", "cpu"]
    where = ["--run-dir", str(tmp_path), "--output", str(figures), "--real", str(tmp_path / "none")]
    assert evaluate.main([*how, *where, "--checkpoint-dir", str(DEMO)]) == 1
    shown = capsys.readouterr().out
    assert "demo: 36 kinds, 4 + 2 steps of dpm++, guidance 7.5" in shown
    assert "36  at least 60        MISSED" in shown
    assert "real pieces: not measured" in shown
    found = json.loads(figures.read_text())
    assert found["figures"]["kinds"] == {"value": 36, "goal": 60, "met": False}
    assert set(found["compared"]) == {"generated", "no guidance", "nearest caption", "held-out shapes"}
    assert found["compared"]["nearest caption"]["spread"]["variety"] == 0
    assert len(list(tmp_path.glob("*/contact_sheet.png"))) == len(list(tmp_path.glob("*/failures.md"))) == 1
    # All is kept: once more costs no shape.
    monkeypatch.setattr(Maker, "generate", None)
    assert evaluate.main([*how, *where, "--checkpoint-dir", str(DEMO)]) == 1
