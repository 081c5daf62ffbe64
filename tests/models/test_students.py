"""Students as models of their own: their weights in eight bits, the set that they belong to, and how they run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from cli.import_models import main
from models.checkpoint.own import open_own
from models.errors import CheckpointError, ConfigError
from models.importer import candidates, ensure_imported
from models.loading import check_student, load_coarse, load_fine, load_student, load_text
from models.quantisation import quantised, restored
from models.set_file import export_set
from models.store import find, remove
from tests.support.saved_models import save_models
from tests.support.store import own_store

KINDS = ["text", "coarse", "fine", "turbo_coarse", "turbo_fine"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A demo set with a turbo pair."""
    save_models(tmp_path / "models", turbo=True)
    return tmp_path / "models"


def test_eight_bits_keep_each_row_within_half_a_step_of_its_own_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.tensor([1e-6, 1.0, 300.0])
    weights = {
        "a": torch.randn(3, 4, 3, 3, 3, generator=generator) * rows.view(3, 1, 1, 1, 1),
        "b": torch.zeros(2, 5),
        "c": torch.randn(7, generator=generator),
    }
    stored = quantised(weights)
    assert {name: value.dtype for name, value in stored.items()} == {
        "a": torch.int8, "a.scale": torch.float32, "b": torch.int8, "b.scale": torch.float32, "c": torch.float16
    }  # fmt: skip
    read = restored(stored)
    assert read.keys() == weights.keys()
    error = (read["a"] - weights["a"]).abs().flatten(1).amax(dim=1)
    largest = weights["a"].abs().flatten(1).amax(dim=1)
    assert bool((error <= 0.501 * largest / 127).all())
    assert not read["b"].any()
    torch.testing.assert_close(read["c"], weights["c"], rtol=1e-3, atol=1e-4)


def test_a_student_takes_a_quarter_of_its_weights_in_float32_and_no_decoder(folder: Path) -> None:
    for stage in ("coarse", "fine"):
        teacher, student = open_own(folder / f"demo_{stage}"), open_own(folder / f"demo_turbo_{stage}")
        assert student.kind == f"turbo_{stage}"
        assert not any(name.startswith("vae.") for name in student.keys)
        full = sum(teacher.tensor(name).numel() * 4 for name in teacher.keys if name.startswith("unet."))
        stored = sum(student.tensor(name).nbytes for name in student.keys)
        assert stored < 0.3 * full


def test_a_student_runs_in_place_of_its_teacher_and_shares_the_decoder(folder: Path) -> None:
    text = load_text(folder / "demo_text")
    coarse, fine = load_coarse(folder / "demo_coarse", text.null), load_fine(folder / "demo_fine")
    student = load_student(folder / "demo_turbo_coarse", folder / "demo_coarse", coarse)
    fine_student = load_student(folder / "demo_turbo_fine", folder / "demo_fine", fine)
    assert student.decoder is coarse.decoder
    prompt = text.encode(["a chair"])[0]
    own = coarse.start(prompt, seed=1, steps=4, guidance_scale=1.0)
    others = student.start(prompt, seed=1, steps=4, guidance_scale=1.0)
    assert (own.network, others.network) == ("standard", "turbo")
    assert torch.equal(own.x, others.x)
    before = coarse.denoise([own], 4)[0]
    made = student.denoise([others], 4)[0]
    assert not torch.allclose(before.x, made.x)
    assert torch.equal(coarse.denoise([own], 4)[0].x, before.x)  # nothing of the teacher has changed
    assert torch.equal(type(made).from_bytes(made.to_bytes()).x, made.x)
    assert type(made).from_bytes(made.to_bytes()).network == "turbo"
    shape = coarse.decode([before])[0]
    state = fine_student.start(shape, prompt, seed=1, steps=4)
    assert len(fine_student.decode(fine_student.denoise([state], 4))[0])


def test_a_set_with_a_pair_is_listed_exported_imported_and_removed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {each.folder.name: each.kind for each in candidates(folder)} == {f"demo_{kind}": kind for kind in KINDS}
    with own_store(tmp_path / "store"):
        assert ensure_imported(folder) == []
        before = find("demo")
        assert main(["--list"]) == 0
        assert capsys.readouterr().out == f"demo: {', '.join(KINDS)}\n"
        assert export_set("demo", tmp_path / "demo.zip") == KINDS
    with own_store(tmp_path / "elsewhere"):
        assert main(["--file", str(tmp_path / "demo.zip")]) == 0
        after = find("demo")
        for kind in KINDS:
            assert getattr(after, kind).name == getattr(before, kind).name  # the digest of the content
        assert after.turbo_coarse is not None
        assert after.coarse is not None
        check_student(after.turbo_coarse, after.coarse)
        assert len(remove("demo")) == len(KINDS)


def test_a_student_of_another_model_is_refused(folder: Path) -> None:
    """Also of one that has the same form: its latents mean something else."""
    shutil.copytree(folder / "demo_coarse", folder / "demo_other")
    weights = load_file(folder / "demo_other" / "model.safetensors")
    save_file(weights | {"scale_factor": torch.tensor(2.0)}, folder / "demo_other" / "model.safetensors")
    check_student(folder / "demo_turbo_coarse", folder / "demo_coarse")
    for teacher in ("demo_other", "demo_fine", "demo_text"):
        with pytest.raises(ConfigError, match=r"demo_turbo_coarse/config.yaml: is the student of another coarse model"):
            check_student(folder / "demo_turbo_coarse", folder / teacher)
    with pytest.raises(ConfigError, match="describes a coarse model, not a student of one"):
        check_student(folder / "demo_coarse", folder / "demo_coarse")
    with pytest.raises(ConfigError, match="describes a turbo_fine model, not a text tower"):
        load_text(folder / "demo_turbo_fine")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"latents": "f00"}, "latents is 'f00' but must be 32 hexadecimal digits"),
        ({"voxel_size": 1}, "unknown setting 'voxel_size'"),
    ],
)
def test_a_students_configuration_that_makes_no_sense_is_told(
    folder: Path, change: dict[str, object], sentence: str
) -> None:
    path = folder / "demo_turbo_fine" / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(ConfigError, match=sentence):
        open_own(folder / "demo_turbo_fine")


def test_a_student_without_a_scale_is_not_imported(folder: Path) -> None:
    path = folder / "demo_turbo_fine" / "model.safetensors"
    weights = load_file(path)
    del weights[next(name for name in sorted(weights) if name.endswith(".scale"))]
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r"weight\.scale is missing"):
        open_own(folder / "demo_turbo_fine")
