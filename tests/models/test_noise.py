"""The noise of a sample is part of what a seed means: these vectors may never change."""

from __future__ import annotations

import pytest
import torch

from models.noise import INITIAL, MOST_AT_ONCE, NUMBERS_AT_ONCE, Block, NoiseAhead, noise, steps_at_once
from models.state import DiffusionState


def test_noise_vectors_are_pinned() -> None:
    torch.testing.assert_close(
        noise(0, "coarse", -1, 4096, 8)[-1, :3], torch.tensor([-0.1457383, 1.1199343, -0.3821916])
    )
    torch.testing.assert_close(noise(42, "coarse", 0, 512, 8)[-1, :3], torch.tensor([-0.8414083, 0.3070008, 1.4126487]))
    torch.testing.assert_close(noise(-5, "fine", 99, 1000, 8)[-1, :3], torch.tensor([1.5482385, 0.4059365, -0.6844718]))


def test_a_negative_seed_means_the_same_as_its_unsigned_reading() -> None:
    assert torch.equal(noise(-1, "coarse", 3, 5, 8), noise(2**64 - 1, "coarse", 3, 5, 8))
    assert torch.equal(noise(-(2**63), "fine", 0, 5, 8), noise(2**63, "fine", 0, 5, 8))


@pytest.mark.parametrize("other", [(8, "coarse", 3), (7, "fine", 3), (7, "coarse", 4), (7, "coarse", INITIAL)])
def test_seed_stage_and_step_each_change_the_noise(other: tuple[int, str, int]) -> None:
    assert not torch.allclose(noise(7, "coarse", 3, 4, 8), noise(*other, 4, 8))


def test_noise_is_standard_normal_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    drawn = noise(0, "coarse", INITIAL, 4096, 8)
    assert torch.equal(torch.get_rng_state(), before)
    assert drawn.mean().item() == pytest.approx(0, abs=0.02)
    assert drawn.std().item() == pytest.approx(1, abs=0.02)


def state(voxels: int = 10, steps: int = 40) -> DiffusionState:
    return DiffusionState("coarse", 7, steps, 0, "ddim", 1.0, torch.zeros(voxels, 8), torch.zeros(2, 4))


def test_blocks_hold_as_many_steps_as_are_small_and_large_ones_hold_one() -> None:
    assert steps_at_once(80) == MOST_AT_ONCE
    assert steps_at_once(NUMBERS_AT_ONCE // 4) == 4
    assert steps_at_once(NUMBERS_AT_ONCE * 3) == 1


def test_the_noise_of_a_block_is_that_of_each_of_its_steps_in_whatever_pieces_it_is_taken() -> None:
    drawn = [True] * 39 + [False]  # the last step draws none
    ahead = NoiseAhead(pinned=False)
    middle, last = Block.around(state(), 20, drawn), Block.around(state(), 38, drawn)
    assert middle is not None
    assert last is not None
    assert (middle.first, middle.steps, last.first, last.steps) == (16, 16, 32, 7)
    ahead.order(middle)
    pieces = [ahead.take(middle, first, steps) for first, steps in ((16, 3), (19, 1), (20, 12))]
    pieces.append(ahead.take(last, 32, 8))  # not ordered: drawn now
    expected = [noise(7, "coarse", step, 10, 8) for step in range(16, 39)]
    assert torch.equal(torch.cat(pieces), torch.stack(expected))


def test_a_step_that_draws_no_noise_has_no_block() -> None:
    assert Block.around(state(), 3, [False] * 40) is None
    assert Block.around(state(), 39, [True] * 39 + [False]) is None
    assert Block.around(state(), 40, [True] * 40) is None
