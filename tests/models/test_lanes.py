"""Several threads on one stage: each has a lane of its own. A CPU can run lanes too."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from models.graphed import Graphed
from models.lanes import STEPS_AHEAD, Lanes, Pace
from models.state import DiffusionState
from tests.support.tiny import coarse_stage, fine_stage, mixed_states, shape, text


def test_a_lane_is_lent_to_one_thread_at_a_time_and_the_last_one_given_back_comes_first() -> None:
    lanes = Lanes(["a", "b"])
    with lanes.one() as first, lanes.one() as second:
        assert (first, second) == ("a", "b")
    with lanes.one() as again:
        assert again == "a"
    with pytest.raises(RuntimeError), lanes.one():
        raise RuntimeError
    with lanes.one() as first, lanes.one() as second:
        assert {first, second} == {"a", "b"}


def test_a_thread_starts_no_more_steps_than_a_gpu_takes_without_holding_up_other_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, waited_for = [], []

    class Event:
        def __init__(self, blocking: bool) -> None:
            assert blocking, "a thread that waits must leave its core to others"

        def record(self, stream: object) -> None:
            started.append(self)

        def synchronize(self) -> None:
            waited_for.append(self)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    pace = Pace(object())  # type: ignore[arg-type]
    for step in range(1, 20):
        pace.after_step()
        assert len(started) == step
        assert waited_for == started[: max(0, step - STEPS_AHEAD)]


def test_threads_at_once_get_the_bits_that_one_gets() -> None:
    stage, fine = coarse_stage(), fine_stage()
    stage.run_together(2)
    fine.run_together(2)
    coarse_states = mixed_states()
    fine_states = [fine.start(shape(), text(seed), seed=seed, steps=4) for seed in range(4)]
    alone = [stage.denoise([state], 3)[0] for state in coarse_states]
    alone += [fine.denoise([state], 3)[0] for state in fine_states]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda state: stage.denoise([state], 3)[0], coarse_states))
        together += threads.map(lambda state: fine.denoise([state], 3)[0], fine_states)
    assert all(torch.equal(ours.x, theirs.x) for ours, theirs in zip(together, alone, strict=True))


def test_two_calls_run_at_once_and_a_third_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = coarse_stage()
    stage.run_together(2)
    together, used = threading.Barrier(2, timeout=30), []

    def meet(lane: Graphed[int], states: list[DiffusionState], steps: int) -> list[DiffusionState]:
        used.append(lane)
        together.wait()
        return states

    monkeypatch.setattr(Graphed, "advance", meet)
    states = [stage.start(text(seed), seed=seed, steps=3) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda state: stage.denoise([state], 1), states))
    assert {used.count(lane) for lane in stage.graphed} == {2}


def test_a_rehearsal_runs_in_every_lane() -> None:
    stage = coarse_stage()
    stage.run_together(3)
    stage.rehearse(mixed_states()[:1], 1)
    assert [len(lane.slots) for lane in stage.graphed] == [1, 1, 1]


def test_where_memory_does_not_suffice_one_lane_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = coarse_stage()
    stage.run_together(2)

    def fail(*_: object) -> list[DiffusionState]:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patched:
        patched.setattr(Graphed, "advance", fail)
        with pytest.raises(torch.OutOfMemoryError):
            stage.denoise(mixed_states()[:1], 1)
    stage.rehearse(mixed_states()[:1], 1)
    assert [len(lane.slots) for lane in stage.graphed] == [1, 0]
