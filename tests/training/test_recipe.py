from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models import Pipeline
from models.dense import DenseUNet
from models.sparse import SparseUNet
from models.text import TextEncoder
from models.vae import Decoder
from training.classifier import CLASSIFIER_FILE, accuracy, load_classifier
from training.dataset import load_shapes
from training.export import megabytes
from training.recipe import DEMO, SMOKE
from training.train import LIMIT_MB, main


def test_the_demo_models_fit_the_repository() -> None:
    with torch.device("meta"):
        modules = (
            TextEncoder(DEMO.text), DenseUNet(DEMO.coarse.unet), Decoder(DEMO.coarse.vae),
            SparseUNet(DEMO.fine.unet), Decoder(DEMO.fine.vae),
        )  # fmt: skip
    assert sum(2 * p.numel() for module in modules for p in module.parameters()) < 1e6 * LIMIT_MB


def test_a_stage_whose_input_is_missing_says_which_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--preset", "smoke", "--stages", "coarse", "--run-dir", str(tmp_path)]) == 2
    assert "--stages text" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_recipe_runs_and_its_models_generate(tmp_path: Path) -> None:
    assert main(["--preset", "smoke", "--run-dir", str(tmp_path), "--device", "cpu", "--workers", "2"]) == 0
    models = tmp_path / "checkpoints"
    assert megabytes(models) > 1
    pipeline = Pipeline.from_dirs(models / "demo_text", models / "demo_coarse", models / "demo_fine", device="cpu")
    result = pipeline.generate("a mug", steps=3, seed=1)
    again = pipeline.generate("a mug", steps=3, seed=1)
    assert (result.coarse.ijk == again.coarse.ijk).all()
    assert list((tmp_path / "samples").glob("coarse_*.png"))
    assert list((tmp_path / "samples").glob("fine_*.png"))
    classifier = load_classifier(models / CLASSIFIER_FILE, torch.device("cpu"))
    right, _ = accuracy(classifier, load_shapes(tmp_path / "data", SMOKE.test_numbers, "heldout"))
    assert right > 0.3  # 36 categories: chance is 0.03
