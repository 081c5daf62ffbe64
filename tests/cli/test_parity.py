"""scripts/parity tells right from wrong, on every backend."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from cli.parity import __main__ as parity
from cli.parity.golden import Case, Check
from models.grids import FvdbGrid
from models.grids.fvdb_grid import library
from tests.support import stand_in_fvdb

CPU = torch.device("cpu")


def test_sparse_cases_pass_on_another_backend_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.grids.fvdb_grid.library", lambda: stand_in_fvdb.MODULE)
    for name in ("sparse_unet", "vae_fine"):
        case = Case.open(parity.GOLDEN, name, CPU, FvdbGrid)
        with torch.inference_mode():
            parity.CASES[name](case)
        assert len(case.checks) >= 4
        assert [check.quantity for check in case.checks if not check.passed] == []


def test_kernels_along_the_wrong_axes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.checkpoint.rename.relayout", lambda name, tensor, sparse: tensor.contiguous())
    case = Case.open(parity.GOLDEN, "sparse_unet", CPU)
    with torch.inference_mode():
        parity.CASES["sparse_unet"](case)
    assert not any(check.passed for check in case.checks)


def test_an_overlap_passes_from_its_own_limit_on() -> None:
    assert Check("voxels", 0.0, 0.0, 0.992, 0.99).passed
    assert not Check("voxels", 0.0, 0.0, 0.98, 0.99).passed
    assert not Check("voxels", 0.0, 0.0, 0.992).passed


def test_a_backend_that_is_not_there_and_a_folder_without_cases_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "fvdb", None)
    monkeypatch.setattr("sys.argv", ["parity", "--backend", "fvdb"])
    library.cache_clear()
    assert parity.main() == 1
    assert "fvdb-core" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["parity", str(tmp_path)])
    assert parity.main() == 1
    assert "holds no golden case" in capsys.readouterr().out
