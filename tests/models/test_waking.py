"""CUDA starts beside the imports: on the GPU that will be used, and nowhere else."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from models.waking import wake_gpu


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """The devices that something was put on, of a machine with two GPUs."""
    found: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "zeros", lambda _, device: found.append(device))
    return found


def _wait() -> None:
    for thread in threading.enumerate():
        if thread.name == "cuda":
            thread.join(10)


@pytest.mark.parametrize(("number", "gpu"), [(0, 0), (1, 1), (2, 0)])
def test_the_gpu_that_the_models_will_use_is_woken(touched: list[torch.device], number: int, gpu: int) -> None:
    wake_gpu("auto", number)
    _wait()
    assert touched == [torch.device("cuda", gpu)]


def test_nothing_is_woken_where_the_models_run_on_a_cpu(touched: list[torch.device]) -> None:
    wake_gpu("cpu", 0)
    _wait()
    assert not touched


def test_a_gpu_that_does_not_work_is_left_to_the_models_own_check(
    monkeypatch: pytest.MonkeyPatch, touched: Any
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch, "zeros", broken)
    wake_gpu("cuda", 0)
    _wait()
    assert not touched
