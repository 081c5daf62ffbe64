from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed

from training import engine, workers
from training.engine import Budget, Losses, Optimization, Trainer, seed_everything

OPTIMIZATION = Optimization(lr=0.05, warmup=5, ema=0.9)


class _Problem:
    """A line to fit; the random numbers come from the trainer's generator."""

    def __init__(self, path: Path, steps: int, spoiled: int = -1, stop: int = -1) -> None:
        self.generator = seed_everything(0, torch.device("cpu"))
        self.model = torch.nn.Linear(3, 1)
        self.spoiled, self.stop = spoiled, stop
        self.trainer = Trainer("line", self.model, path, Budget(steps), OPTIMIZATION, self.generator)

    def losses(self, step: int) -> Losses:
        if step == self.stop:
            raise KeyboardInterrupt
        x = torch.randn(16, 3, generator=self.generator)
        loss = (self.model(x) - x.sum(1, keepdim=True)).square().mean()
        return {"mse": loss * float("nan") if step == self.spoiled else loss}

    def run(self) -> torch.Tensor:
        average = self.trainer.run(self.losses)
        assert isinstance(average, torch.nn.Linear)
        return average.weight.detach()


def test_training_reaches_the_solution(tmp_path: Path) -> None:
    torch.testing.assert_close(_Problem(tmp_path / "a.pt", 300).run(), torch.ones(1, 3), rtol=0, atol=0.02)


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = _Problem(tmp_path / "whole.pt", 40).run()
    with pytest.raises(KeyboardInterrupt):
        _Problem(tmp_path / "killed.pt", 40, stop=17).run()
    resumed = _Problem(tmp_path / "killed.pt", 40)
    assert resumed.trainer.step == 17
    assert torch.equal(resumed.run(), whole)


@pytest.fixture
def _ended_by_signals() -> Iterator[None]:
    # A process that was started in the background ignores SIGINT.
    ends = {signal.SIGTERM: lambda *_: sys.exit(143), signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in ends.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_ended_by_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_step_leaves_the_state_of_a_whole_step(
    number: signal.Signals, tmp_path: Path
) -> None:
    whole = _Problem(tmp_path / "whole.pt", 40).run()
    stopped = _Problem(tmp_path / "stopped.pt", 40)
    update = stopped.trainer.optimizer.step

    def stopping() -> None:
        update()
        if stopped.trainer.step == 17:
            os.kill(os.getpid(), number)

    stopped.trainer.optimizer.step = stopping  # type: ignore[assignment, method-assign]
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        stopped.run()
    resumed = _Problem(tmp_path / "stopped.pt", 40)
    assert resumed.trainer.step == 18
    assert torch.equal(resumed.run(), whole)


def test_a_training_in_a_thread_leaves_signals_to_the_process(tmp_path: Path) -> None:
    found: list[torch.Tensor] = []
    thread = threading.Thread(target=lambda: found.append(_Problem(tmp_path / "a.pt", 5).run()))
    thread.start()
    thread.join()
    assert len(found) == 1


def test_a_training_whose_other_process_ends_saves_its_state_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _Problem(tmp_path / "whole.pt", 40).run()
    left = _Problem(tmp_path / "left.pt", 40)

    def closed(_: torch.Tensor) -> None:
        if left.trainer.step == 17:
            raise RuntimeError("Connection closed by peer [127.0.0.1]:1")

    with monkeypatch.context() as patch:
        patch.setattr(distributed, "is_initialized", lambda: True)
        patch.setattr(distributed, "get_world_size", lambda: 1)
        patch.setattr(distributed, "get_rank", lambda: 0)
        patch.setattr(distributed, "all_reduce", closed)
        with pytest.raises(
            workers.WorkerError, match=r"another process of this training has ended.*run the same command"
        ):
            left.run()
    resumed = _Problem(tmp_path / "left.pt", 40)
    assert resumed.trainer.step == 17
    assert torch.equal(resumed.run(), whole)


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    weights = _Problem(tmp_path / "a.pt", 10).run()
    again = _Problem(tmp_path / "a.pt", 10, stop=0)
    assert torch.equal(again.run(), weights)


def test_a_step_whose_gradient_is_not_finite_is_left_out(tmp_path: Path) -> None:
    assert _Problem(tmp_path / "a.pt", 40, spoiled=20).run().isfinite().all()


def test_a_time_budget_ends_training_before_the_last_step() -> None:
    budget = Budget(steps=1000, minutes=2)
    assert budget.fraction(step=10, seconds=60) == 0.5
    assert budget.fraction(step=900, seconds=60) == 0.9
    assert budget.fraction(step=10, seconds=121) > 1


def test_a_state_that_was_saved_on_a_gpu_goes_on_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU; tests/gpu has both ways")
    whole = _Problem(tmp_path / "whole.pt", 40).run()
    stopped = _Problem(tmp_path / "gpu.pt", 40, stop=17)
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(tmp_path / "gpu.pt", weights_only=True)
    resumed = _Problem(tmp_path / "gpu.pt", 40)
    assert resumed.trainer.step == 17
    assert torch.equal(resumed.run(), whole)


def test_a_state_goes_on_where_weights_lie_in_memory_in_another_order(tmp_path: Path) -> None:
    def trainer(layout: torch.memory_format, steps: int) -> Trainer:
        generator = seed_everything(0, torch.device("cpu"))
        model = torch.nn.Conv3d(2, 4, 3)
        model.to(memory_format=layout)  # type: ignore[call-overload]
        return Trainer("conv", model, tmp_path / "conv.pt", Budget(steps), OPTIMIZATION, generator)

    for layout, steps in ((torch.channels_last_3d, 2), (torch.contiguous_format, 4)):
        made = trainer(layout, steps)
        made.done = False
        made.run(lambda _, made=made: {"sum": made.modules(torch.ones(1, 2, 3, 3, 3)).square().sum()})  # type: ignore[misc]
        (weight,) = (value for value in made.modules.parameters() if value.ndim == 5)
        assert weight.is_contiguous(memory_format=layout)
        assert all(made.optimizer.state[weight][name].stride() == weight.stride() for name in ("exp_avg", "exp_avg_sq"))
    assert made.step == 4


def test_the_share_of_time_without_data_is_shown_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter(range(1_000, 10_000))
    monkeypatch.setattr(engine.time, "monotonic", lambda: float(next(now)))
    problem = _Problem(tmp_path / "a.pt", 3)
    problem.trainer.run(problem.losses, waited=lambda: 0.0)
    shown = capsys.readouterr().out
    assert "waited for data 0%" in next(line for line in shown.splitlines() if " step 1 " in line)
    assert shown.splitlines()[-1] == "line: waited for data 0% of the time"
    again = _Problem(tmp_path / "b.pt", 3)
    again.trainer.run(again.losses)
    assert "waited" not in capsys.readouterr().out
