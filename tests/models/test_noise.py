"""The noise of a sample is part of what a seed means: these vectors may never change."""

from __future__ import annotations

import pytest
import torch

from models.noise import INITIAL, noise


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
