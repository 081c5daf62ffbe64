"""Several threads on one stage: each has a lane of its own. A CPU can run lanes too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

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


def test_what_a_step_leaves_is_read_while_its_lane_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane's next user may overwrite it: no stream waits for what another one still has to read."""
    stage = coarse_stage()
    stage.run_together(2)
    held, outside = [], []
    lend = stage._lane

    @contextmanager
    def lane() -> Iterator[Graphed[int] | None]:
        with lend() as graphed:
            held.append(graphed)
            yield graphed
            held.pop()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
        ) -> Any:
            if not held:
                outside.append(function)
            return function(*arguments, **(options or {}))

    monkeypatch.setattr(stage, "_lane", lane)
    begun = stage.start(text(0), seed=1, steps=4)
    free = torch.arange(len(begun.x)) % 2 == 0
    in_a_box = replace(begun, known=torch.ones_like(begun.x), free=free)
    with Watch():
        stage.denoise([in_a_box], 3)
        stage.foresee(begun)
    assert outside == []


def test_a_rehearsal_runs_in_every_lane() -> None:
    stage = coarse_stage()
    stage.run_together(3)
    stage.rehearse(mixed_states()[:1], 1)
    assert [len(lane.slots) for lane in stage.graphed] == [1, 1, 1]


def test_the_one_lane_that_is_left_goes_to_one_thread_at_a_time_whoever_had_or_awaited_one() -> None:
    lanes, used, most = Lanes(["a", "b"]), [], 0

    def work(_: int) -> str:
        nonlocal most
        with lanes.one() as lane:
            used.append(lane)
            most = max(most, used.count(lane))
            time.sleep(0.001)
            used.remove(lane)
            return lane

    with ThreadPoolExecutor(4) as threads:
        with lanes.one() as first, lanes.one():
            used.append(first)
            waiting = threads.map(work, range(20))
            lanes.keep_first()
            time.sleep(0.01)
            used.remove(first)
        assert set(waiting) == {"a"}
    assert most == 1


def test_memory_that_does_not_suffice_in_one_lane_leaves_the_other_to_who_works_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage, working, end = coarse_stage(), threading.Event(), threading.Event()
    stage.run_together(2)
    states = [stage.start(text(0), seed=1, steps=steps) for steps in (1, 2, 3)]
    users: list[Graphed[int]] = []

    def advance(lane: Graphed[int], states: list[DiffusionState], steps: int) -> list[DiffusionState]:
        assert lane not in users, "two threads in one lane"
        if states[0].steps == 2:
            raise torch.OutOfMemoryError
        users.append(lane)
        working.set()
        assert end.wait(60)
        users.remove(lane)
        return states

    monkeypatch.setattr(Graphed, "advance", advance)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(stage.denoise, states[:1], 1)
        assert working.wait(60)
        with pytest.raises(torch.OutOfMemoryError):
            stage.denoise(states[1:2], 1)
        third = threads.submit(stage.denoise, states[2:], 1)
        try:
            with pytest.raises(TimeoutError):
                third.result(0.2)
        finally:
            end.set()
        assert [len(each.result(60)) for each in (first, third)] == [1, 1]


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
