"""What an engine does with models that cannot be used: told at the start, each with its file, and others serve on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from models.errors import XCubeError
from models.pipeline import Pipeline
from tests.support.engines import ORDER, finish, loaded

pytestmark = pytest.mark.usefixtures("store")
Change = Callable[[Path], object]


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def without_end(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[5]
    weights[name].view(-1)[0] = float("inf")
    save_file(weights, folder / "model.safetensors")


def not_positive(folder: Path) -> None:
    save_file(load_file(folder / "model.safetensors") | {"scale_factor": torch.zeros(())}, folder / "model.safetensors")


def for_other_shapes(folder: Path) -> None:
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values["vae"]["latent_resolution"] *= 2
    (folder / "config.yaml").write_text(yaml.safe_dump(values))


FAULTS: dict[str, tuple[Change, str]] = {
    "cut": (cut, "demo_fine/model.safetensors: not a readable safetensors file"),
    "infinite": (without_end, "demo_fine/model.safetensors: unet."),
    "scale": (not_positive, "demo_fine/model.safetensors: scale_factor must be one positive number"),
    "other": (for_other_shapes, "demo_fine/config.yaml: expects coarse shapes with a side of 64"),
    "yaml": (lambda folder: (folder / "config.yaml").write_text("["), "demo_fine/config.yaml: not a readable YAML"),
}


@pytest.fixture
def own(tiny_models: Path, tmp_path: Path) -> Path:
    """A file for XCUBE_CONFIG and, beside it, copies of all models."""
    for kind in ("text", "coarse", "fine"):
        shutil.copytree(tiny_models / f"demo_{kind}", tmp_path / "own" / f"demo_{kind}")
    file = tmp_path / "own" / "models.yaml"
    file.write_text("".join(f"{kind}: demo_{kind}\n" for kind in ("text", "coarse", "fine")))
    return file


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_fine_model_is_told_at_the_start_and_coarse_shapes_are_made_without_it(
    own: Path, tiny_models: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil, message = FAULTS[fault]
    spoil(own.parent / "demo_fine")
    engine = loaded(tiny_models, config=own)
    status = engine.status()
    assert (status.health.status, status.health.model_loaded) == ("ready", True)
    assert status.health.error == status.fine_fault
    assert message in status.fine_fault
    assert "set use_fine to false" in status.fine_fault
    assert str(own.parent) not in status.fine_fault
    assert f"{own.parent}/demo_fine" in caplog.text
    assert {name: model.usable for name, model in status.models.items()} == {
        "text": True,
        "coarse": True,
        "fine": False,
    }
    refused = engine.begin(ORDER)
    assert (refused.code, refused.error) == ("models_unavailable", status.fine_fault)
    coarse = engine.decode(finish(engine, engine.begin(ORDER.model_copy(update={"use_fine": False}))).state, False)
    assert coarse.voxels


@pytest.mark.parametrize("kind", ["text", "coarse"])
def test_weights_with_infinity_are_refused_at_the_start_by_file_and_name(
    own: Path, tiny_models: Path, kind: str
) -> None:
    without_end(own.parent / f"demo_{kind}")
    engine = loaded(tiny_models, config=own)
    health = engine.status().health
    assert health.status == "error"
    assert f"demo_{kind}/model.safetensors: " in str(health.error)
    assert "holds NaN or infinity" in str(health.error)
    told = engine.status().models
    assert told[kind].fault == health.error
    assert {name for name, model in told.items() if model.usable} == {"text", "coarse", "fine"} - {"text", kind} | (
        {"text"} if kind == "coarse" else set()
    )


def test_a_fine_model_that_breaks_later_is_told_from_then_on(own: Path, tiny_models: Path) -> None:
    engine = loaded(tiny_models, config=own)
    assert engine.status().health.error is None
    coarse = finish(engine, engine.begin(ORDER))
    cut(own.parent / "demo_fine")
    assert engine.decode(coarse.state, fine_steps=ORDER.ddim_steps).code == "models_unavailable"
    assert "demo_fine/model.safetensors" in engine.status().fine_fault


def test_a_model_that_could_not_be_imported_is_told_beside_those_that_serve(tiny_models: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(tiny_models, checkpoints)
    (checkpoints / "objaverse_fine").mkdir()
    (checkpoints / "objaverse_fine" / "last.ckpt").write_bytes(b"nothing")
    status = loaded(checkpoints).status()
    assert (status.health.status, status.fine_fault) == ("ready", "")
    assert "objaverse_fine/last.ckpt: not a PyTorch checkpoint" in str(status.health.error)


def test_a_fine_model_of_the_served_set_that_could_not_be_imported_is_a_broken_one(
    store: Path, tiny_models: Path, tmp_path: Path
) -> None:
    shutil.rmtree(store / "xcube-fine", ignore_errors=True)  # an earlier version would serve in its place
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(tiny_models, checkpoints)
    cut(checkpoints / "demo_fine")
    engine = loaded(checkpoints)
    status = engine.status()
    assert (status.health.status, status.health.error) == ("ready", status.fine_fault)
    assert status.fine_fault.count("demo_fine/model.safetensors: ") == 1
    assert not status.models["fine"].usable
    assert engine.begin(ORDER).code == "models_unavailable"


def test_without_a_fine_model_there_is_none_in_the_status(own: Path, tiny_models: Path) -> None:
    own.write_text(own.read_text().replace("fine: demo_fine", "fine: null"))
    status = loaded(tiny_models, config=own).status()
    assert set(status.models) == {"text", "coarse"}
    assert all(model.usable and model.version for model in status.models.values())


def test_a_pipeline_refuses_models_that_do_not_go_together(own: Path) -> None:
    for_other_shapes(own.parent / "demo_fine")
    folders = [own.parent / f"demo_{kind}" for kind in ("text", "coarse", "fine")]
    with pytest.raises(XCubeError, match=r"demo_fine/config\.yaml: expects coarse shapes with a side of 64"):
        Pipeline.from_dirs(*folders, device="cpu")
