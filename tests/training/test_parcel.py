"""A training goes to another machine in small files, and goes on there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models.errors import ConfigError
from training.engine import Budget, Optimization, Trainer
from training.parcel import STATES, pack, unpack


def trainer(path: Path, steps: int) -> Trainer:
    torch.manual_seed(0)
    return Trainer(
        "text",
        nn.Linear(64, 64),
        path,
        Budget(steps),
        Optimization(lr=1e-2, warmup=1),
        torch.Generator().manual_seed(0),
    )


def trained(path: Path, steps: int) -> Trainer:
    made = trainer(path, steps)
    made.run(lambda _: {"loss": made.modules(torch.ones(1, 64)).square().mean()})
    return made


def test_a_stage_goes_on_from_a_parcel_at_its_step_with_the_averaged_weights(tmp_path: Path) -> None:
    first = trained(tmp_path / "run" / "text.pt", 8)
    state = torch.load(tmp_path / "run" / "text.pt", weights_only=True)
    torch.save({**state, "done": False}, tmp_path / "run" / "text.pt")
    pieces = pack(tmp_path / "run", tmp_path / "parcel", piece=4_000)
    assert len(pieces) > 1
    assert all(path.stat().st_size <= 4_000 for path in pieces)
    assert sum(path.stat().st_size for path in pieces) < 0.4 * (tmp_path / "run" / "text.pt").stat().st_size
    assert unpack(tmp_path / "parcel", tmp_path / "there") == ["text.pt"]
    second = trainer(tmp_path / "there" / "text.pt", 12)
    assert second.step == 8
    for ours, theirs in zip(second.average.parameters(), first.average.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    second.run(lambda _: {"loss": second.modules(torch.ones(1, 64)).square().mean()})
    assert second.step == 12


def with_models(run: Path, *models: str) -> list[str]:
    for name in STATES:
        trained(run / f"{name}.pt", 2)
    for model in models:
        (run / "checkpoints" / model).mkdir(parents=True)
        (run / "checkpoints" / model / "model.safetensors").write_bytes(b"weights")
    return [f"checkpoints/{model}/model.safetensors" for model in models]


def test_of_a_training_that_is_done_the_models_travel_without_its_states(tmp_path: Path) -> None:
    files = with_models(tmp_path, "demo_coarse", "demo_fine", "demo_text")
    pack(tmp_path, tmp_path / "parcel")
    assert unpack(tmp_path / "parcel", tmp_path / "there") == files
    assert (tmp_path / "there" / "checkpoints" / "demo_text" / "model.safetensors").read_bytes() == b"weights"


def test_a_stage_whose_model_was_written_on_another_machine_is_not_lost(tmp_path: Path) -> None:
    files = with_models(tmp_path, "demo_fine", "demo_turbo_coarse")
    pack(tmp_path, tmp_path / "parcel")
    assert unpack(tmp_path / "parcel", tmp_path / "there") == [*files, "text.pt", "coarse.pt"]


def test_a_parcel_that_is_none_or_not_whole_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no training"):
        pack(tmp_path, tmp_path / "parcel")
    with pytest.raises(ConfigError, match="holds no whole parcel"):
        unpack(tmp_path, tmp_path / "there")
    trained(tmp_path / "run" / "text.pt", 1)
    pieces = pack(tmp_path / "run", tmp_path / "parcel", piece=4_000)
    pieces[0].unlink()
    with pytest.raises(ConfigError, match="fetch all its pieces"):
        unpack(tmp_path / "parcel", tmp_path / "there")
