"""Guidance in a part of a run: where it is applied, what it spares, and that slices and batches do not change it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.stages import CoarseStage
from models.state import ALWAYS, DiffusionState
from tests.support.tiny import coarse_stage, mixed_states, text

STAGE = coarse_stage()


def start(interval: tuple[float, float], steps: int = 10, scale: float = 7.5, seed: int = 1) -> DiffusionState:
    return STAGE.start(text(seed), seed=seed, steps=steps, guidance_scale=scale, guidance_interval=interval)


def end(state: DiffusionState) -> torch.Tensor:
    return STAGE.denoise([state], state.steps)[0].x


def test_the_whole_run_is_what_is_guided_without_an_interval() -> None:
    assert torch.equal(end(start(ALWAYS)), end(STAGE.start(text(1), seed=1, steps=10)))


def test_an_interval_without_a_step_is_no_guidance() -> None:
    assert torch.equal(end(start((0.5, 0.5))), end(start(ALWAYS, scale=1.0)))


@pytest.mark.parametrize(
    ("interval", "guided"), [((0.0, 0.5), range(5)), ((0.3, 0.7), range(3, 7)), ((0.31, 1.0), range(4, 10))]
)
def test_steps_in_the_interval_are_guided_and_the_others_take_one_row(
    monkeypatch: pytest.MonkeyPatch, interval: tuple[float, float], guided: range
) -> None:
    texts: list[int] = []
    after_text = STAGE.unet.after_text
    monkeypatch.setattr(STAGE.unet, "after_text", lambda *inputs: (texts.append(1), after_text(*inputs))[1])
    taken = []
    state = start(interval)
    while not state.done:
        texts.clear()
        state = STAGE.denoise([state], 1)[0]
        taken.append(len(texts))
    assert taken == [2 if step in guided else 1 for step in range(10)]


def test_a_step_inside_is_the_step_of_a_guided_run_and_one_outside_that_of_an_unguided_one() -> None:
    state = start((0.3, 0.7))
    for step in range(10):
        scale = 7.5 if 3 <= step < 7 else 1.0
        plain = replace(state, guidance_scale=scale, guidance_interval=ALWAYS)
        state = STAGE.denoise([state], 1)[0]
        assert torch.equal(state.x, STAGE.denoise([plain], 1)[0].x)


@pytest.mark.parametrize("batched", [False, True])
def test_slices_cut_anywhere_and_company_change_nothing(batched: bool) -> None:
    stage: CoarseStage = coarse_stage()
    if batched:
        stage.run_together()
    states = [start((0.2, 0.55), steps=9), start((0.2, 0.55), steps=9, seed=2), start((0.0, 0.3), steps=13)]
    states += mixed_states()
    alone = [end(state) for state in states]
    done = states
    for steps in (1, 3, 4, 20):
        done = stage.denoise(done, steps)
    for state, x in zip(done, alone, strict=True):
        if batched:
            torch.testing.assert_close(state.x, x, atol=1e-3, rtol=1e-3)
        else:
            assert torch.equal(state.x, x)
