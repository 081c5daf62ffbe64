"""scripts/bench measures what it says, at the smallest size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from cli.bench import speed
from cli.bench.__main__ import main
from cli.bench.subjects import shell
from models import kernels, threads
from models.sizes import OFFICIAL
from tests.support.saved_models import save_models


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    yield
    threads.use(1)


def test_every_variant_of_both_stages_is_measured_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    assert main(["--device", "cpu", "--size", "tiny", "--repetitions", "2", "--steps", "1", "--json", str(path)]) == 0
    measured = json.loads(path.read_text())
    assert {(row["stage"], row["variant"]) for row in measured["rows"]} == {
        (stage, variant) for stage in ("coarse", "fine") for variant in ("fp32, one lane", "fp32", "bf16")
    }
    assert all(0 < row["fastest"] <= row["median"] <= row["slowest"] for row in measured["rows"])
    assert torch.__version__ in capsys.readouterr().out


def test_a_generation_goes_through_both_stages(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    arguments = ["--device", "cpu", "--size", "tiny", "--generation", "--repetitions", "1", "--steps", "2"]
    assert main([*arguments, "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [run["preset"] for run in rows] == ["", "turbo"]
    for run in rows:
        assert run["coarse_voxels"] > 0
        assert run["fine_voxels"] > 0
        assert min(run["coarse_steps"], run["fine_steps"]) > 0


@pytest.mark.costly
@pytest.mark.timeout(400)
def test_a_service_is_measured_with_many_users_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_models(tmp_path / "checkpoints")
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    monkeypatch.setenv("XCUBE_CHECKPOINT_DIR", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("XCUBE_THREADS", "1")
    path = tmp_path / "service.json"
    assert main(["--service", "--device", "cpu", "--steps", "3", "--repetitions", "1", "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [row["limit"] for row in rows] == [1, 3, 8, 1, 1, 1]
    assert ["alongside 1000" in row["what"] for row in rows] == [False, True, False, False, False, False]
    for row in rows:
        assert row["seconds"] > 0
        base = 0.1 if row["against"] == "0.1 s" else rows[0]["seconds"]
        assert row["ratio"] == pytest.approx(row["seconds"] / base)


def test_every_optimisation_of_a_gpu_has_a_row_without_it() -> None:
    ways = {way.name: way for way in speed.variants(torch.device("cuda"))}
    everything = ways["all"]
    assert everything.graphs
    assert everything.switches == kernels.Switches()
    without = [way for name, way in ways.items() if name.startswith("all but")]
    assert len({(way.dtype, way.graphs, *vars(way.switches).values()) for way in without}) == 2 + len(
        fields(kernels.Switches)
    )


def test_the_fine_sample_has_as_many_voxels_as_it_says() -> None:
    assert len(shell(OFFICIAL["fine"].vae.latent_resolution)) == 46_080


def test_memory_of_a_cpu_is_not_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cpu", "--size", "tiny", "--memory"]) == 2
    assert "--device cuda" in capsys.readouterr().err
