"""What a state seems to become on its way: the base of previews."""

from __future__ import annotations

import pytest
import torch

from models.schedulers import SCHEDULERS
from tests.support.tiny import coarse_stage, text

STAGE = coarse_stage()
STEPS = 6


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("batched", [False, True])
def test_before_its_last_step_a_state_is_foreseen_as_it_ends(scheduler: str, batched: bool) -> None:
    stage = coarse_stage() if batched else STAGE
    if batched:
        stage.run_together()
    state = stage.start(text(1), seed=1, steps=STEPS, scheduler=scheduler)
    early = stage.foresee(state)
    (before,) = stage.denoise([state], STEPS - 1)
    foreseen, (ended,) = stage.foresee(before), stage.denoise([before], 1)
    torch.testing.assert_close(foreseen.x, ended.x, atol=1e-4, rtol=1e-4)
    assert early.done
    assert foreseen.done
    assert not torch.allclose(early.x, ended.x, atol=1e-2), "the first guess is the end already"
    assert not before.done, "the state itself was changed"
