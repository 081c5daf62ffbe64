"""Which backend runs, and what is said when the one that was asked for cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from models.errors import BackendError, ConfigError
from models.grids import FvdbGrid, TorchGrid, backends, choose_backend, name_of
from models.grids.fvdb_grid import library
from models.runtime import Runtime
from models.stages import FineStage
from tests.support import stand_in_fvdb
from tests.support.tiny import fine_stage, shape, text


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    library.cache_clear()
    yield
    library.cache_clear()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fvdb", stand_in_fvdb.MODULE)


def test_a_cpu_runs_on_torch_and_names_are_checked() -> None:
    assert choose_backend("auto", "cpu") is choose_backend("torch", "cuda") is TorchGrid
    assert name_of(TorchGrid) == "torch"
    assert name_of(FvdbGrid) == "fvdb"
    with pytest.raises(ConfigError, match="auto, torch, fvdb"):
        choose_backend("spconv", "cpu")


def test_fvdb_that_is_not_there_is_missed_only_by_who_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fvdb", None)
    assert choose_backend("auto", "cuda") is TorchGrid
    with pytest.raises(BackendError, match="install the package fvdb-core"):
        choose_backend("fvdb", "cpu")


def test_the_other_project_named_fvdb_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fvdb", ModuleType("fvdb"))
    with pytest.raises(BackendError, match="not the 3-D library"):
        choose_backend("fvdb", "cuda")


def test_fvdb_is_taken_if_it_was_asked_for(stand_in: None) -> None:
    assert choose_backend("fvdb", "cpu") is FvdbGrid


@pytest.mark.parametrize(
    ("fvdb_is", "taken"), [("faster", True), ("slower", False), ("wrong", False), ("broken", False)]
)
def test_auto_takes_fvdb_where_it_is_right_and_faster(
    stand_in: None, monkeypatch: pytest.MonkeyPatch, fvdb_is: str, taken: bool
) -> None:
    timed = backends._timed

    def fake(grid: TorchGrid | FvdbGrid, *tensors: torch.Tensor) -> tuple[torch.Tensor, float]:
        result = timed(grid, *tensors)[0]
        if isinstance(grid, TorchGrid):
            return result, 1.0
        if fvdb_is == "broken":
            raise RuntimeError("no kernel image")
        return (-result if fvdb_is == "wrong" else result), 2.0 if fvdb_is == "slower" else 0.5

    monkeypatch.setattr(backends, "_timed", fake)
    monkeypatch.setattr(backends, "REPETITIONS", 1)
    monkeypatch.setattr(backends, "RADIUS", 6)
    assert backends._wins(torch.device("cpu"), torch.float32) is taken


def test_auto_is_torch_where_the_gpu_cannot_be_used(stand_in: None, caplog: pytest.LogCaptureFixture) -> None:
    assert choose_backend("auto", torch.device("cuda", 99)) is TorchGrid
    assert "fvdb failed its test" in caplog.text


def test_a_fine_generation_is_the_same_on_both_backends_and_plans_once_a_grid(stand_in: None) -> None:
    ours = fine_stage()
    theirs = FineStage(ours.config, ours.unet, ours.decoder, ours.scale_factor, Runtime(grids=FvdbGrid))
    state = ours.start(shape(), text(3), seed=4, steps=4)
    stand_in_fvdb.ConvolutionPlan.made = 0
    finished = theirs.denoise([state], 4)[0]
    assert stand_in_fvdb.ConvolutionPlan.made == len(ours.config.unet.channel_mult)
    torch.testing.assert_close(finished.x, ours.denoise([state], 4)[0].x, atol=1e-4, rtol=1e-4)
    (a,), (b,) = theirs.decode_raw([finished]), ours.decode_raw([finished])
    assert torch.equal(a.grid.ijk, b.grid.ijk)
    torch.testing.assert_close(a.normals, b.normals, atol=1e-4, rtol=1e-3)
