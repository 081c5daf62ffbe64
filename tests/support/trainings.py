"""Sets of a few meshes, and trainings on them in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.meshes import furniture_folder
from tests.support.paths import ROOT
from training.make_dataset import main as make_dataset


def training_set(folder: Path, count: int) -> Path:
    """Makes a set of so many meshes at 64³ in `folder`, and returns where it is."""
    meshes = furniture_folder(folder / "furniture", count)
    assert make_dataset([str(meshes), "--out", str(folder / "set"), "--resolution", "64", "--workers", "1"]) == 0
    return folder / "set"


@contextmanager
def in_two_processes(folder: Path, device: str, stages: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A training under torchrun on the set in `folder`; what is left of it ends with the block."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training.train",
        "--data", str(folder / "set"), "--preset", "smoke", "--run-dir", str(folder / "run"), "--device", device,
        "--stages", stages, *options,
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as begun:  # fmt: skip
        try:
            yield begun
        finally:
            if begun.poll() is None:
                for process in (*psutil.Process(begun.pid).children(recursive=True), begun):
                    process.kill()


def kill_second(begun: subprocess.Popen[str]) -> None:
    """kill -9 for the process of rank 1."""
    ranks = [each for each in psutil.Process(begun.pid).children() if each.environ().get("RANK") == "1"]
    assert len(ranks) == 1
    ranks[0].kill()
