"""From a folder of twenty meshes to shapes of a prompt, as docs/training.md tells it, with real steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cli.import_models import main as import_models_command
from models import Pipeline
from models.loading import load_text
from models.recognition import Recogniser
from tests.support.meshes import PARTS, furniture
from tests.support.store import own_store
from tests.support.trainings import in_two_processes, kill_second, training_set
from training.evaluate import main as evaluate
from training.make_dataset import main as make_dataset
from training.meshes.source import MeshSource
from training.train import main as train


def trained(folder: Path, *options: str) -> int:
    return train(
        [
            "--data",
            str(folder / "set"),
            "--preset",
            "smoke",
            "--run-dir",
            str(folder / "run"),
            "--device",
            "cpu",
            *options,
        ]
    )


def test_a_set_is_a_source_of_shapes_with_captions_and_kinds(tmp_path: Path) -> None:
    source = MeshSource.open(training_set(tmp_path, 6))
    shapes = source.shapes(fine=True)
    assert source.name == "furniture"
    assert set(source.kinds) <= set(PARTS)
    assert len(shapes) == len(source.items) == len(shapes.coarse)
    assert shapes.fine is not None
    grid, normals = shapes.fine.batch(torch.tensor([len(shapes) - 1, 0]))
    assert len(grid) == len(normals) == int(shapes.fine.sizes()[[0, -1]].sum())
    parents = torch.unique(torch.div(shapes.fine.first(1).ijk.int(), 4, rounding_mode="floor"), dim=0)
    assert torch.equal(parents, shapes.coarse.first(1).ijk.int())
    assert [shapes.labels.kinds[row] for row in shapes.category] == [item.kind for item in source.items]


@pytest.mark.costly
def test_a_tower_and_its_card_know_kinds_in_other_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        path = tmp_path / "家具" / "椅子" / f"{number}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        furniture("stool", number).export(path)
    how = ["--out", str(tmp_path / "set"), "--name", "jiaju", "--resolution", "64", "--heldout", "0"]
    assert make_dataset([str(tmp_path / "家具"), *how, "--workers", "1"]) == 0
    assert trained(tmp_path, "--stages", "text", "--longer", "0.01") == 0
    folder = tmp_path / "run" / "checkpoints" / "jiaju_text"
    assert Recogniser(load_text(folder)).recognise("一把红色的椅子").kinds == ("椅子",)
    with own_store(tmp_path / "models"):
        assert import_models_command(["--checkpoint-dir", str(folder.parent)]) == 0
        assert import_models_command(["--export", "jiaju", str(tmp_path / "jiaju.zip")]) == 0
        assert import_models_command(["--remove", "jiaju"]) == 0
        assert import_models_command(["--file", str(tmp_path / "jiaju.zip")]) == 0
        capsys.readouterr()
        assert import_models_command(["--list"]) == 0
    assert capsys.readouterr().out == "jiaju: text\n  trained on 4 shapes at 64³: 椅子 4\n"


def test_a_set_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(["--data", str(tmp_path), "--run-dir", str(tmp_path / "run")]) == 2
    assert "holds no training set" in capsys.readouterr().err


@pytest.mark.costly
def test_a_text_tower_learns_the_words_of_a_set_and_goes_on_after_a_kill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training_set(tmp_path, 6)
    assert trained(tmp_path, "--stages", "text") == 0
    shown = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("text: losses"))
    first, last = float(shown.split()[2]), float(shown.split()[-1])
    assert last < 0.5 * first
    assert (tmp_path / "run" / "losses" / "text.png").stat().st_size > 1000
    state = torch.load(tmp_path / "run" / "text.pt", weights_only=True)
    assert state["done"]
    assert state["curve"]["steps"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_meshes_become_a_set_in_the_store_whose_shapes_are_there_and_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training_set(tmp_path, 20)
    assert trained(tmp_path) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if ": losses " in line]
    assert [line.split(":")[0] for line in shown] == ["text", "coarse_vae", "fine_vae", "coarse", "fine"]
    for line in shown:
        assert float(line.split()[-1]) < 0.9 * float(line.split()[2]), line
    output = tmp_path / "figures.json"
    where = ["--data", str(tmp_path / "set"), "--run-dir", str(tmp_path / "run"), "--output", str(output)]
    assert evaluate([*where, "--steps", "5", "--fine-steps", "3", "--device", "cpu"]) == 0
    figures = json.loads(output.read_text())
    assert figures["generated"]["empty"] == 0
    assert 0.1 < figures["reconstruction"]["coarse"]["iou"] <= 1
    with own_store(tmp_path / "models"):
        assert import_models_command(["--checkpoint-dir", str(tmp_path / "run" / "checkpoints")]) == 0
        capsys.readouterr()
        assert import_models_command(["--list"]) == 0
        assert "furniture: text, coarse, fine" in capsys.readouterr().out
        pipeline = Pipeline.from_store("furniture", device="cpu")
    shape = pipeline.generate("a table", steps=5, seed=1)
    assert len(shape.coarse) > 50
    assert shape.fine is not None
    assert shape.fine.voxel_size == 1 / 64
    assert pipeline.recogniser.recognise("a table").known
    assert not pipeline.recogniser.recognise("an elephant").known


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_train_one_tower_and_go_on_after_one_was_killed(tmp_path: Path) -> None:
    training_set(tmp_path, 6)
    with in_two_processes(tmp_path, "cpu", "text", "--longer", "1000") as begun:
        assert begun.stdout is not None
        assert any(line.startswith("text: ") for line in begun.stdout), "no step was made"
        kill_second(begun)
        _, told = begun.communicate()
    assert begun.returncode != 0
    assert "another process of this training has ended" in told
    assert int(torch.load(tmp_path / "run" / "text.pt", weights_only=True)["step"]) > 0
    with in_two_processes(tmp_path, "cpu", "text") as done:
        shown, told = done.communicate()
    assert done.returncode == 0, told
    assert shown.count("text: losses") == 1
    assert (tmp_path / "run" / "checkpoints" / "furniture_text" / "model.safetensors").exists()
