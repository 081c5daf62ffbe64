"""scripts/evaluate with preset turbo: the students of a folder in place of its denoisers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from models.errors import ConfigError
from models.pipeline import Pipeline
from tests.support.saved_models import save_models
from training.evaluation.pair import load_pair
from training.generating import Controls, generate

TURBO = Controls(4, 4, 1.0, "ddim", (0.0, 1.0), "turbo")
CPU = torch.device("cpu")


def test_students_are_measured_as_they_are_served(tmp_path: Path) -> None:
    save_models(tmp_path, turbo=True)
    own, pair = load_pair(tmp_path, CPU), load_pair(tmp_path, CPU, TURBO.network)
    assert own.mark != pair.mark
    places = [tmp_path / f"demo_{kind}" for kind in ("text", "coarse", "fine")]
    students = {kind: tmp_path / f"demo_{kind}" for kind in ("turbo_coarse", "turbo_fine")}
    served = Pipeline.from_dirs(*places, device="cpu", **students).generate("a mug", seed=3, preset="turbo")
    (measured,) = generate(pair.pipeline, ["a mug"], [3], TURBO)
    assert measured.coarse.to_bytes() == served.coarse.to_bytes()
    assert measured.fine is not None
    assert served.fine is not None
    assert measured.fine.to_bytes() == served.fine.to_bytes()
    shutil.rmtree(tmp_path / "demo_turbo_fine")
    with pytest.raises(ConfigError, match="preset turbo needs a model turbo_fine, which is not there"):
        load_pair(tmp_path, CPU, TURBO.network)
