"""A set of one's own is measured on the shapes that its training never saw, without a classifier."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.importer import import_models
from tests.support.meshes import furniture_folder
from tests.support.saved_models import leave_out_encoder
from tests.support.store import own_store
from training.evaluate import main as evaluate
from training.make_dataset import main as make_dataset
from training.meshes.store import read_set
from training.own_evaluation import heldout_of
from training.train import main as train

pytestmark = pytest.mark.costly
FEW_STEPS = ["--steps", "2", "--fine-steps", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set and with models that have trained on it for one step."""
    folder = tmp_path_factory.mktemp("own")
    meshes = furniture_folder(folder / "furniture", 18)
    how = ["--out", str(folder / "set"), "--resolution", "64", "--heldout", "0.5", "--workers", "1"]
    assert make_dataset([str(meshes), *how]) == 0
    run = ["--run-dir", str(folder / "run"), "--preset", "smoke", "--longer", "0.01", "--device", "cpu"]
    assert train(["--data", str(folder / "set"), *run]) == 0
    return folder


def measured(place: Path, *options: str) -> dict[str, dict[str, float]]:
    output = place / "figures.json"
    output.unlink(missing_ok=True)
    data = ["--data", str(place / "set"), "--run-dir", str(place / "run"), "--output", str(output)]
    assert evaluate([*data, *FEW_STEPS, *options]) == 0
    values: dict[str, dict[str, float]] = json.loads(output.read_text())
    return values


def test_the_figures_are_written_down_and_a_second_run_makes_no_shape_again(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = measured(place)
    shown = capsys.readouterr().out
    heldout = len(read_set(place / "set").split("heldout"))
    assert first["heldout_shapes"] == first["generated"]["shapes"] == heldout > 1
    for stage in ("coarse", "fine"):
        assert 0 <= first["reconstruction"][stage]["iou"] <= 1
    # Shapes of the same three kinds are near to one another, which models after one step are not.
    assert first["training"]["kind"] > 0.5
    assert first["training"]["chamfer"]["mmd"] < first["generated"]["chamfer"]["mmd"]
    for title in ("coarse VAE: IoU", "chamfer: coverage", "1-NN accuracy", "prompt's kind", "in one piece", "rough"):
        assert title in shown
    (kept,) = (place / "run" / "evaluate").iterdir()
    before = {path: path.stat().st_mtime_ns for path in (kept / "shapes").iterdir()}
    assert len(before) == heldout
    assert (kept / "sheet.png").stat().st_size > 1000
    assert measured(place) == first
    assert {path: path.stat().st_mtime_ns for path in (kept / "shapes").iterdir()} == before


def test_a_set_in_the_store_has_the_figures_of_the_folder_that_it_came_from(place: Path, tmp_path: Path) -> None:
    ours = measured(place)
    with own_store(tmp_path / "models"):
        assert all(result.error is None for result in import_models(place / "run" / "checkpoints"))
        assert measured(place, "--model", "furniture") == ours


def test_a_quick_evaluation_takes_fewer_shapes_spread_over_all(place: Path) -> None:
    made = read_set(place / "set")
    few = [item.file for item in heldout_of(made, 2)]
    assert few == [made.split("heldout")[0].file, made.split("heldout")[-1].file]


def test_vaes_of_models_without_encoders_are_not_measured_and_the_rest_is(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures.json"
    shutil.copytree(place / "run" / "checkpoints", tmp_path / "served")
    for folder in (tmp_path / "served").glob("*/"):
        leave_out_encoder(folder)
    models = ["--checkpoint-dir", str(tmp_path / "served"), "--run-dir", str(tmp_path / "elsewhere")]
    assert evaluate(["--data", str(place / "set"), *models, "--output", str(output), *FEW_STEPS]) == 0
    assert json.loads(output.read_text())["reconstruction"] == {"coarse": None, "fine": None}
    assert "coarse VAE" in (shown := capsys.readouterr().out)
    assert "not measured" in shown


def test_a_training_that_starts_from_models_with_encoders_trains_no_vae_and_hands_them_on(
    place: Path, tmp_path: Path
) -> None:
    models = place / "run" / "checkpoints"
    how = ["--from", str(models), "--preset", "smoke", "--longer", "0.01", "--device", "cpu"]
    run = ["--run-dir", str(tmp_path), "--stages", "text,coarse"]
    assert train(["--data", str(place / "set"), *how, *run]) == 0
    assert not list(tmp_path.glob("*_vae.pt"))
    before, after = (
        load_file(folder / "furniture_coarse" / "model.safetensors") for folder in (models, tmp_path / "checkpoints")
    )
    assert all(torch.equal(after[name], value) for name, value in before.items() if not name.startswith("unet."))
    assert any(not torch.equal(after[name], value) for name, value in before.items())


def test_what_is_missing_is_told_in_a_sentence(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*options: str) -> str:
        assert evaluate([*options, *FEW_STEPS]) == 2
        return capsys.readouterr().err

    assert "holds no training set" in told("--data", str(tmp_path))
    assert "holds no training set" in told("--model", "nowhere")
    with own_store(tmp_path / "models"):
        assert "no such set in the model store" in told("--data", str(place / "set"), "--model", "nowhere")
    assert "holds no models of furniture" in told("--data", str(place / "set"), "--run-dir", str(tmp_path))
    meshes = furniture_folder(tmp_path / "others", 4)
    how = ["--out", str(tmp_path / "set"), "--workers", "1", "--heldout", "0"]
    models = ["--checkpoint-dir", str(place / "run" / "checkpoints"), "--run-dir", str(place / "run")]
    assert make_dataset([str(meshes), "--name", "furniture", *how]) == 0
    assert "give the set that they were trained on" in told("--data", str(tmp_path / "set"), *models)
    assert make_dataset([str(meshes), "--name", "furniture", "--resolution", "64", *how]) == 0
    assert "holds out no shape" in told("--data", str(tmp_path / "set"), *models)
