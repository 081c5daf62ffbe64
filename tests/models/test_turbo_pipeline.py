"""preset="turbo" without any server: the students of a set make, refine and vary shapes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models import Pipeline
from models.errors import OtherTeacherError
from models.presets import NO_TURBO
from tests.support.saved_models import save_models


@pytest.fixture(scope="module")
def pipeline(turbo_models: Path) -> Pipeline:
    return of(turbo_models, "turbo_coarse", "turbo_fine")


def of(folder: Path, *students: str) -> Pipeline:
    own = (folder / f"demo_{kind}" for kind in ("text", "coarse", "fine"))
    return Pipeline.from_dirs(*own, device="cpu", **{kind: folder / f"demo_{kind}" for kind in students})


def test_turbo_takes_four_steps_of_each_stage_and_makes_another_shape(pipeline: Pipeline) -> None:
    taken: list[tuple[str, int, int]] = []
    made = pipeline.generate("a mug", seed=1, preset="turbo", progress=lambda *step: taken.append(step))
    assert taken == [(stage, step, 4) for stage in ("coarse", "fine") for step in (1, 2, 3, 4)]
    own = pipeline.generate("a mug", seed=1, steps=4, guidance_scale=1.0)
    assert made.coarse.to_bytes() != own.coarse.to_bytes()
    assert made.fine is not None
    again = pipeline.generate("a mug", seed=1, preset="turbo", guidance_scale=3.0, steps=4)
    assert again.fine is not None
    assert again.fine.to_bytes() == made.fine.to_bytes(), "guidance has been learnt"


def test_turbo_refines_and_varies_too(pipeline: Pipeline) -> None:
    made = pipeline.generate("a mug", seed=1, preset="turbo")
    assert made.fine is not None
    refined = pipeline.refine(made.coarse, "a mug", seed=1, preset="turbo").fine
    assert refined is not None
    assert refined.to_bytes() == made.fine.to_bytes()
    whole = pipeline.vary(made, "a chair", seed=2, strength=1.0, preset="turbo")
    assert whole.coarse.to_bytes() == pipeline.generate("a chair", seed=2, preset="turbo").coarse.to_bytes()
    own = pipeline.vary(made, "a chair", seed=2, strength=1.0, steps=4)
    assert own.coarse.to_bytes() == pipeline.generate("a chair", seed=2, steps=4).coarse.to_bytes()


def test_what_cannot_be_is_told_before_any_work(pipeline: Pipeline, turbo_models: Path, tmp_path: Path) -> None:
    for wrong in ({"steps": 8}, {"fine_steps": 2}, {"scheduler": "dpm++"}):
        with pytest.raises(ValueError, match="preset turbo takes 4 steps of ddim in each stage, and no others: leave"):
            pipeline.generate("a mug", preset="turbo", **wrong)
    for students in ((), ("turbo_coarse",)):  # half a pair is none
        with pytest.raises(ValueError, match=NO_TURBO):
            of(turbo_models, *students).generate("a mug", preset="turbo")
    save_models(tmp_path / "other", seed=3)
    for kind in ("turbo_coarse", "turbo_fine"):
        shutil.copytree(turbo_models / f"demo_{kind}", tmp_path / "other" / f"demo_{kind}")
    with pytest.raises(OtherTeacherError, match=r"is the student of another (coarse|fine) model"):
        of(tmp_path / "other", "turbo_coarse", "turbo_fine").generate("a mug", preset="turbo")
