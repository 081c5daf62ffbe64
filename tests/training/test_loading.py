"""Batches of a training: from memory, from files that are larger than it, and read ahead of the device."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tests.support.meshes import furniture_folder
from tests.support.paths import ROOT
from training import rows
from training.ahead import AHEAD, Ahead
from training.cubes import CubeBatches
from training.latents import encode_coarse, encode_fine
from training.loading import Batches, in_order
from training.make_dataset import main as make_dataset
from training.meshes import building
from training.meshes.source import MeshSource
from training.recipe import SMOKE
from training.rows import Gathered, MappedRows, Rows
from training.train import main as train
from training.vae import Autoencoder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of twelve shapes in several shards."""
    place = tmp_path_factory.mktemp("loading")
    meshes = furniture_folder(place / "furniture", 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "SHARD_ITEMS", 5)
        how = ["--out", str(place / "set"), "--resolution", "64", "--heldout", "0", "--workers", "1"]
        assert make_dataset([str(meshes), *how]) == 0
    assert len(list((place / "set").glob("*.safetensors"))) == 3
    return place / "set"


@pytest.fixture
def _little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "SHARE_OF_MEMORY", 0.0)


def both(folder: Path) -> tuple[Rows, MappedRows]:
    """The fine voxels of a set in memory, and mapped."""
    small = MeshSource.open(folder).shapes(fine=True).fine
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "SHARE_OF_MEMORY", 0.0)
        large = MeshSource.open(folder).shapes(fine=True).fine
    assert isinstance(small, Rows)
    assert isinstance(large, MappedRows)
    return small, large


def test_voxels_that_memory_does_not_hold_are_mapped_and_their_batches_are_the_same(folder: Path) -> None:
    small, large = both(folder)
    assert torch.equal(small.sizes(), large.sizes())
    assert large.nbytes == small.ijk.nbytes + small.values.nbytes
    for chosen in (torch.tensor([0]), torch.tensor([11, 3, 3, 7])):
        (one, values), (other, same) = small.batch(chosen), large.batch(chosen)
        assert torch.equal(one.ijk, other.ijk)
        assert torch.equal(one.batch, other.batch)
        assert torch.equal(values, same)


LARGE = """
import sys
from pathlib import Path
import numpy as np, torch
from safetensors.numpy import save_file
from training import rows
from training.loading import Batches
from training.meshes.source import MeshSource
from training.meshes.store import Item, TrainingSet
from training.tokens import CaptionTokenizer

folder, count, size = Path(sys.argv[1]), 32, 1_000_000
ijk = np.zeros((count * size, 3), np.int8)
whole = {f"{level}_{name}": value for level in ("coarse", "fine") for name, value in (
    ("ijk", ijk), ("normal", np.ones((count * size, 3), np.int8)),
    ("offset", np.arange(count + 1) * size))}
save_file(whole, folder / "one.safetensors")
total = sum(value.nbytes for value in whole.values())
del ijk, whole
items = tuple(Item(str(n), "f", "chair", ("a chair",), "", "train", "one", n) for n in range(count))
rows.SHARE_OF_MEMORY = float(sys.argv[2])
CaptionTokenizer().encode("its vocabulary takes memory of its own")

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024

before = most = own()
large = MeshSource(TrainingSet(folder, "large", 64, items)).shapes(fine=True).fine
for shape in range(count):
    gathered = large.gather(torch.tensor([shape]))
    assert len(gathered.ijk) == size
    most = max(most, own())
print(total, most - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_holds_a_batch_of_a_set_that_is_mapped_and_all_of_one_that_fits(tmp_path: Path) -> None:
    def grown(share: float) -> float:
        command = [sys.executable, "-c", LARGE, str(tmp_path), str(share)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        total, more = map(int, done.stdout.split())
        return more / total

    mapped, whole = grown(share=0.0), grown(share=1.0)
    assert mapped < 0.35
    assert mapped < whole / 2


@pytest.mark.costly
@pytest.mark.usefixtures("_little_memory")
def test_models_trained_on_mapped_voxels_are_those_trained_in_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ["--data", str(folder), "--preset", "smoke", "--longer", "0.1", "--device", "cpu"]
    how += ["--stages", "text,coarse-vae,fine-vae,coarse,fine"]
    assert train([*how, "--run-dir", str(tmp_path / "mapped")]) == 0
    shown = capsys.readouterr().out
    for stage in ("coarse_vae", "fine_vae", "coarse", "fine"):
        assert re.search(rf"^{stage}: waited for data \d+% of the time$", shown, re.MULTILINE)
    assert not list((tmp_path / "mapped").glob("latents-*")), "they are made anew by every run"
    monkeypatch.undo()
    assert train([*how, "--run-dir", str(tmp_path / "memory")]) == 0
    for stage in ("text", "coarse_vae", "fine_vae", "coarse", "fine"):
        ours, theirs = (
            torch.load(tmp_path / name / f"{stage}.pt", weights_only=True)["modules"] for name in ("mapped", "memory")
        )
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), stage


def test_latents_that_memory_does_not_hold_are_in_files_and_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = Autoencoder(SMOKE.at(64).fine).eval()
    shapes = MeshSource.open(folder).shapes(fine=True)
    whole = encode_fine(model, shapes, tmp_path / "none", size=5)
    assert isinstance(whole, Rows)
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr(rows, "SHARE_OF_MEMORY", 0.0)
    in_files = encode_fine(model, MeshSource.open(folder).shapes(fine=True), tmp_path / "latents", size=5)
    assert isinstance(in_files, MappedRows)
    assert len(list((tmp_path / "latents").iterdir())) == 3
    everything = torch.arange(12)
    one, other = whole.gather(everything), in_files.gather(everything)
    assert torch.equal(one.ijk, other.ijk)
    assert torch.equal(one.values, other.values)


def test_coarse_latents_that_memory_does_not_hold_are_in_files_and_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = Autoencoder(SMOKE.at(64).coarse).eval()
    coarse = MeshSource.open(folder).shapes().coarse
    whole = encode_coarse(model, coarse, tmp_path / "none", size=5)
    assert whole.resident
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr(rows, "SHARE_OF_MEMORY", 0.0)
    in_files = encode_coarse(model, coarse, tmp_path / "latents", size=5)
    assert len(list((tmp_path / "latents").iterdir())) == len(in_files.parts) == 3
    assert not in_files.resident
    assert len(in_files) == len(whole) == 12
    chosen = torch.tensor([11, 0, 5, 5, 4])
    assert torch.equal(in_files.gather(chosen), whole.gather(chosen))
    assert in_files.gather(chosen).stride() == whole.gather(chosen).stride(), "another layout computes other bits"
    assert in_files.deviation() == whole.deviation()
    with CubeBatches(in_files, 3) as streamed, CubeBatches(whole, 3) as there:
        for turn in (7, 8, 0):
            (ours, cubes), (theirs, same) = streamed(turn), there(turn)
            assert torch.equal(ours, theirs)
            assert torch.equal(cubes, same)


def test_coarse_latents_lie_in_memory_where_they_and_their_copy_fit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, coarse = Autoencoder(SMOKE.at(64).coarse).eval(), MeshSource.open(folder).shapes().coarse
    monkeypatch.setattr(rows, "SHARE_OF_MEMORY", 1.0)
    taken = encode_coarse(model, coarse, tmp_path).parts[0].nbytes
    for free, resident in ((3 * taken, True), (3 * taken - 1, False)):
        monkeypatch.setattr(rows, "free_memory", lambda free=free: free)
        assert encode_coarse(model, coarse, tmp_path).resident == resident


def test_parts_that_are_read_ahead_come_in_order(folder: Path) -> None:
    small, large = both(folder)
    parts = [[0, 3], [11], [5, 5, 6], *([n] for n in range(12))]
    for ours, theirs, part in zip(in_order(large, parts, CPU), in_order(small, parts, CPU), parts, strict=True):
        assert ours.chosen.tolist() == theirs.chosen.tolist() == part
        assert torch.equal(ours.grid.ijk, theirs.grid.ijk)
        assert torch.equal(ours.values, theirs.values)


def test_the_next_batches_are_read_by_threads_while_this_one_is_used(folder: Path) -> None:
    _, large = both(folder)
    reading = threading.Semaphore(0)
    by: set[str] = set()
    gather = large.gather

    def watched(shapes: torch.Tensor) -> Gathered:
        by.add(threading.current_thread().name)
        gathered = gather(shapes)
        reading.release()
        return gathered

    object.__setattr__(large, "gather", watched)
    small, _ = both(folder)
    with Batches(large, 3, CPU) as batches:
        first = batches(5)
        for _ in range(AHEAD + 1):
            assert reading.acquire(timeout=60), "nobody reads the next batches"
        later = batches(6)
    assert all(name.startswith("batches") for name in by)
    for turn, batch in ((5, first), (6, later)):
        with Batches(small, 3, CPU) as inline:
            wanted = inline(turn)
        assert torch.equal(batch.chosen, wanted.chosen)
        assert torch.equal(batch.grid.ijk, wanted.grid.ijk)
        assert torch.equal(batch.values, wanted.values)
    assert batches.waited > 0


def test_who_gathers_on_the_device_itself_never_waits_for_data() -> None:
    with Ahead(lambda shapes: time.sleep(0.01), shapes=3, size=2, threaded=False) as inline:
        inline.gathered(0)
    assert inline.waited == 0
    with Ahead(lambda shapes: time.sleep(0.01), shapes=3, size=2, threaded=True) as read:
        read.gathered(0)
    assert read.waited > 0


def test_a_file_that_cannot_be_read_ends_the_training_and_not_a_thread_alone(folder: Path) -> None:
    _, large = both(folder)

    def broken(_: torch.Tensor) -> Gathered:
        raise OSError(5, "Input/output error", "one.safetensors")

    object.__setattr__(large, "gather", broken)
    with Batches(large, 3, CPU) as batches, pytest.raises(OSError, match="Input/output error"):
        batches(0)
