"""One training on two GPUs: every stage ends, and a process that is killed takes a checkpoint's interval at most."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.trainings import in_two_processes, kill_second, training_set
from training.train import STAGES

OF_A_SET = ",".join(stage for stage in STAGES if stage != "classifier")


@pytest.fixture(autouse=True)
def _two_gpus() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA GPUs")


@pytest.mark.timeout(600)
def test_two_gpus_train_every_stage_of_a_set_together(tmp_path: Path) -> None:
    training_set(tmp_path, 6)
    with in_two_processes(tmp_path, "cuda", OF_A_SET) as done:
        shown, told = done.communicate(timeout=500)
    assert done.returncode == 0, told
    for stage in ("text", "coarse_vae", "fine_vae", "coarse", "fine"):
        assert shown.count(f"{stage}: losses") == 1
    for model in ("text", "coarse", "fine"):
        assert (tmp_path / "run" / "checkpoints" / f"furniture_{model}" / "model.safetensors").exists()


@pytest.mark.timeout(600)
def test_two_gpus_go_on_together_after_one_process_was_killed(tmp_path: Path) -> None:
    training_set(tmp_path, 6)
    with in_two_processes(tmp_path, "cuda", "text", "--longer", "1000") as begun:
        assert begun.stdout is not None
        assert any(line.startswith("text: ") for line in begun.stdout), "no step was made"
        kill_second(begun)
        begun.communicate(timeout=200)  # torchrun gives the other 30 s to end, which waits inside NCCL
    assert begun.returncode != 0
    with in_two_processes(tmp_path, "cuda", "text") as done:
        shown, told = done.communicate(timeout=200)
    assert done.returncode == 0, told
    assert shown.count("text: losses") == 1
