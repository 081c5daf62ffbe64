"""A training in calls: stages in their order, side by side, stopped and gone on with, and what fails is told."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from training.pieces import GOES_ON, LANES, Call, finished
from training.train import _without_pieces

STAGE = """
import pathlib, signal, sys
log, waiting, failing = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
stage = sys.argv[sys.argv.index("--stages") + 1]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
with log.open("a") as file:
    file.write(" ".join(sys.argv[4:]) + "\\n")
if stage in waiting.split(","):
    signal.pause()
sys.exit(5 if stage == failing else 0)
"""


def call(folder: Path, waiting: str = "", failing: str = "") -> Call:
    return Call([sys.executable, "-c", STAGE, str(folder / "log"), waiting, failing], 10.0)


def begun(folder: Path) -> list[str]:
    log = folder / "log"
    return [line.split()[1] for line in log.read_text().splitlines()] if log.exists() else []


def test_all_stages_run_once_with_their_part_of_the_time(tmp_path: Path) -> None:
    assert call(tmp_path).run(None) == 0
    stages = begun(tmp_path)
    assert stages[0] == "data"
    assert sorted(stages[1:]) == sorted(stage for lane in LANES for stage, _ in lane)
    assert stages.index("text") < stages.index("fine")
    assert stages.index("coarse-vae") < stages.index("coarse")
    lines = (tmp_path / "log").read_text().splitlines()
    assert "--stages coarse --minutes 7.00" in lines
    assert "--stages data" in lines
    assert all(sum(share for _, share in lane) == pytest.approx(1) for lane in LANES)


def test_a_call_that_is_stopped_says_so_and_the_next_one_ends_the_work(tmp_path: Path) -> None:
    assert call(tmp_path, waiting="coarse,fine-vae").run(0.5) == GOES_ON
    assert "classifier" not in begun(tmp_path)
    assert "fine" not in begun(tmp_path)
    assert call(tmp_path).run(None) == 0


def test_what_an_earlier_call_has_done_is_not_begun_again(tmp_path: Path) -> None:
    done = {"text": True, "coarse_vae": True, "fine_vae": False, "coarse": True}
    for name, value in done.items():
        torch.save({"done": value}, tmp_path / f"{name}.pt")
    (tmp_path / "models" / "demo_text").mkdir(parents=True)
    again = call(tmp_path)
    again.finished = partial(finished, tmp_path, tmp_path / "models")
    assert again.run(None) == 0
    # The coarse model was not written yet, so its stage has to do that.
    assert sorted(begun(tmp_path)) == ["classifier", "coarse", "data", "fine", "fine-vae"]


def test_a_call_may_end_while_shapes_are_made(tmp_path: Path) -> None:
    assert call(tmp_path, waiting="data").run(0.5) == GOES_ON
    assert begun(tmp_path) in ([], ["data"])


def test_a_stage_that_fails_ends_the_call_with_its_status(tmp_path: Path) -> None:
    assert call(tmp_path, waiting="coarse", failing="fine-vae").run(None) == 5
    assert "fine" not in begun(tmp_path)


def test_no_process_is_left_after_a_call(tmp_path: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command))
        return started[-1]

    stopped = call(tmp_path, waiting="coarse,fine-vae")
    stopped.start = start
    assert stopped.run(0.5) == GOES_ON
    assert all(process.poll() is not None for process in started)


def test_stages_are_told_all_but_how_the_time_is_divided() -> None:
    given = ["--preset", "next", "--total", "20", "--stop-after=9", "--stages", "text", "--real", "set"]
    assert _without_pieces(given) == ["--preset", "next", "--real", "set"]
