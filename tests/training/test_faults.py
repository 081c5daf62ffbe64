"""A full disk, or kill -9, costs a data set or a training what came since the last piece that was written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from models.text import TextEncoder
from tests.support.figures import wait_for
from tests.support.meshes import furniture_folder
from tests.support.paths import ROOT
from tests.support.saved_models import TEXT
from tests.support.small_disk import fill, full, mounted
from training.engine import Budget, Losses, Optimization, Trainer, save_atomically, seed_everything
from training.export import export_text
from training.leftovers import clear, half_of
from training.make_dataset import main as make_dataset
from training.meshes import building
from training.meshes.store import places, read_set
from training.train import main as train

NO_ROOM = "No space left on device"


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def test_a_disk_that_fills_up_under_a_data_set_loses_no_finished_shard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "SHARD_ITEMS", 1)
    folder = furniture_folder(tmp_path / "furniture", 8)
    with mounted(tmp_path / "disk", 1) as disk:
        command = [str(folder), "--out", str(disk / "set"), "--resolution", "128", "--workers", "1"]
        assert make_dataset(command) == 1
        told = capsys.readouterr().err
        assert told.count(NO_ROOM) == 1
        assert "run the command again; it goes on where it was" in told
        assert "Traceback" not in told
        before = shards(disk / "set")
        assert 0 < len(before) < 8
        assert len(places(disk / "set")) == len(before), "what is there is whole"
        assert {path.name for path in (disk / "set").iterdir()} <= {*before, building.REFUSED_FILE}
        subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
        assert make_dataset(command) == 0
        assert before.items() <= shards(disk / "set").items()
        assert len(read_set(disk / "set").items) == 8


TWO_SHARDS = """
import sys, time
from training.make_dataset import main
from training.meshes import building
building.SHARD_ITEMS, write_shard, written = 1, building.write_shard, []
def second(folder, entries):
    write_shard(folder, entries)
    written.append(folder)
    if len(written) == 2:
        time.sleep(3600)
building.write_shard = second
main(sys.argv[1:])
"""
TEN_STEPS = """
import sys, time
from training.engine import Trainer
from training.train import main
Trainer.__init__.__defaults__, save = (-1.0,), Trainer._save
def tenth(self):
    save(self)
    if self.step == 10:
        time.sleep(3600)
Trainer._save = tenth
main(sys.argv[1:])
"""


def killed(code: str, arguments: list[str], ready: Callable[[], bool]) -> tuple[int, list[psutil.Process]]:
    """Starts code that stops somewhere, kills it there, and gives its number and the processes it had started."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT)
    try:
        wait_for(ready)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
    return process.pid, children


@pytest.mark.costly
def test_a_data_set_goes_on_after_kill_9_and_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = furniture_folder(tmp_path / "furniture", 24)
    arguments = [str(folder), "--out", str(tmp_path / "set"), "--resolution", "64", "--workers", "2"]
    _, children = killed(TWO_SHARDS, arguments, lambda: len(list((tmp_path / "set").glob("*.safetensors"))) == 2)
    assert children, "the meshes were made by processes of their own"
    before = shards(tmp_path / "set")
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
    assert make_dataset(arguments) == 0
    assert before.items() <= shards(tmp_path / "set").items()
    assert make_dataset([*arguments[:2], str(tmp_path / "undisturbed"), *arguments[3:]]) == 0
    ours, theirs = (read_set(tmp_path / name).items for name in ("set", "undisturbed"))
    assert [(i.key, i.split, i.captions) for i in ours] == [(i.key, i.split, i.captions) for i in theirs]


def step_of(state: Path) -> int:
    return int(torch.load(state, weights_only=True)["step"]) if state.exists() else 0


class Filling:
    """A line to fit, whose state is saved after every step on a disk that is full from a step on."""

    def __init__(self, disk: Path, full_from: int) -> None:
        self.disk, self.full_from = disk, full_from
        self.generator = seed_everything(0, torch.device("cpu"))
        self.model = torch.nn.Linear(3, 1)
        self.trainer = Trainer(
            "line", self.model, disk / "line.pt", Budget(20), Optimization(lr=0.05, warmup=5), self.generator,
            save_every=-1.0,
        )  # fmt: skip

    def losses(self, step: int) -> Losses:
        if step == self.full_from:
            fill(self.disk)
        x = torch.randn(16, 3, generator=self.generator)
        return {"mse": (self.model(x) - x.sum(1, keepdim=True)).square().mean()}


def test_a_disk_that_fills_up_under_a_training_leaves_the_state_of_the_last_save(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 1) as disk:
        filling = Filling(disk, full_from=7)
        with pytest.raises(OSError, match=NO_ROOM):
            filling.trainer.run(filling.losses)
        assert {path.name for path in disk.iterdir() if path.is_file()} == {"line.pt", "somebody-else-s"}
        (disk / "somebody-else-s").unlink()
        again = Filling(disk, full_from=-1)
        assert again.trainer.step == 7
        ours = again.trainer.run(again.losses)
    with mounted(tmp_path / "disk", 1) as disk:
        undisturbed = Filling(disk, full_from=-1)
        theirs = undisturbed.trainer.run(undisturbed.losses)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_model_that_finds_no_room_is_told_with_what_the_disk_says(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 1) as disk, full(disk), pytest.raises(OSError, match=NO_ROOM):
        export_text(TextEncoder(TEXT), TEXT, {}, disk / "text")


def test_a_state_that_cannot_be_pickled_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="pickle"):
        save_atomically({"no": lambda: 0}, tmp_path / "state.pt")
    assert not list(tmp_path.iterdir())


def test_a_mesh_that_may_not_be_read_is_refused_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = furniture_folder(tmp_path / "furniture", 3)
    key = building._key

    def denied(path: Path, settings: building.Settings) -> str:
        if path.stem == "0001":
            raise PermissionError(13, "Permission denied", str(path))
        return key(path, settings)

    monkeypatch.setattr(building, "_key", denied)
    made, report = building.build(folder, tmp_path / "set", building.Settings(resolution=64), "furniture")
    assert len(made.items) == 2
    assert report.refused["stool/0001.glb"].startswith("cannot be read (Permission denied)")


@pytest.mark.costly
def test_a_training_goes_on_after_kill_9_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    folder = furniture_folder(tmp_path / "furniture", 4)
    made = ["--out", str(tmp_path / "set"), "--resolution", "64", "--heldout", "0", "--workers", "1"]
    assert make_dataset([str(folder), *made]) == 0
    how = ["--data", str(tmp_path / "set"), "--preset", "smoke", "--stages", "text", "--device", "cpu"]
    state = tmp_path / "killed" / "text.pt"
    number, _ = killed(TEN_STEPS, [*how, "--run-dir", str(tmp_path / "killed")], lambda: step_of(state) == 10)
    half = state.with_name(f".{state.name}.{number}")
    half.write_bytes(b"half a state")
    assert train([*how, "--run-dir", str(tmp_path / "killed")]) == 0
    assert not half.exists()
    assert train([*how, "--run-dir", str(tmp_path / "whole")]) == 0
    ours, theirs = (torch.load(tmp_path / name / "text.pt", weights_only=True) for name in ("killed", "whole"))
    assert ours["step"] == theirs["step"] == 60
    assert all(torch.equal(ours["average"][key], theirs["average"][key]) for key in theirs["average"])


def test_half_written_files_of_processes_that_are_gone_are_removed_and_no_others(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    mine = half_of(tmp_path / "a.safetensors")
    others = [mine, tmp_path / f"notes.{gone.pid}", tmp_path / ".hidden", tmp_path / f".{gone.pid}"]
    left = tmp_path / f".a.safetensors.{gone.pid}"
    for path in (*others, left):
        path.write_bytes(b"half")
    clear(tmp_path)
    assert set(tmp_path.iterdir()) == set(others)
    clear(tmp_path / "nowhere")


@pytest.mark.costly
def test_a_training_on_a_full_disk_ends_in_a_sentence_and_goes_on_when_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = furniture_folder(tmp_path / "furniture", 4)
    made = ["--out", str(tmp_path / "set"), "--resolution", "64", "--heldout", "0", "--workers", "1"]
    assert make_dataset([str(folder), *made]) == 0
    with mounted(tmp_path / "disk", 64) as disk:
        how = ["--data", str(tmp_path / "set"), "--preset", "smoke", "--longer", "0.05", "--device", "cpu"]
        command = [*how, "--run-dir", str(disk / "run"), "--stages", "text"]
        with full(disk):
            capsys.readouterr()
            assert train(command) == 1
        told = capsys.readouterr().err
        assert told.count(NO_ROOM) == 1
        assert "make room there or use --run-dir, then run the command again" in told
        assert "Traceback" not in told
        assert train(command) == 0
        assert (disk / "run" / "checkpoints" / "furniture_text" / "model.safetensors").exists()
