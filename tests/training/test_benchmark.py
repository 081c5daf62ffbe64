"""The benchmark of scripts/dataset measures what it says, on meshes that are what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.make_dataset import main
from training.meshes.benchmark import FACES, Speed, synthetic


def test_the_meshes_of_the_benchmark_are_closed_have_their_faces_and_differ() -> None:
    one, again, other = synthetic(0), synthetic(0), synthetic(1)
    assert len(one.faces) == len(other.faces) == FACES
    assert one.is_watertight
    assert (one.area_faces > 0).all()
    assert (one.vertices == again.vertices).all()
    assert (one.vertices != other.vertices).any()


def test_the_time_that_is_foretold_counts_the_cores() -> None:
    assert Speed(10, wall=99.0, cpu=12.0).minutes(1000, cores=2) == pytest.approx(10)


def test_the_benchmark_keeps_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert main(["--bench", "2", "--resolution", "64", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"2 meshes of 20,000 faces to 64³: [\d.]+ s, [\d.]+ s of a core for each", shown)
    assert not list(tmp_path.iterdir())
    assert main(["--bench", "0"]) == 1
    assert "at least one" in capsys.readouterr().err
