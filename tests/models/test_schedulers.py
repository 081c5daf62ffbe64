"""Schedules and schedulers: pinned timesteps, and exact solutions where they are known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from models.config import ScheduleConfig
from models.schedulers import DDIM, SCHEDULERS, DPMSolverPP2M, Scheduler, alphas_cumprod, leading_timesteps, timesteps

SCHEDULE = ScheduleConfig()


def test_timesteps_follow_xcube_where_it_covers_the_schedule() -> None:
    assert timesteps(100) == tuple(range(990, -1, -10))
    assert timesteps(7) == (852, 710, 568, 426, 284, 142, 0)
    assert timesteps(1) == (0,)
    assert timesteps(1000) == tuple(range(999, -1, -1))


def test_step_counts_that_xcube_would_start_half_way_are_spread_over_the_schedule() -> None:
    assert leading_timesteps(600)[0] == 599
    spread = timesteps(600)
    assert spread[0] == 998
    assert spread[-1] == 0
    assert len(set(spread)) == 600


def test_every_step_count_gives_that_many_descending_timesteps_to_zero() -> None:
    for steps in range(1, 1001):
        run = timesteps(steps)
        assert len(run) == steps
        assert run[-1] == 0
        assert all(high > low for high, low in pairwise(run))
        assert 1000 - run[0] <= 2 * (1000 // steps)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_step_counts_outside_the_schedule_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="steps must be 1 to 1000"):
        timesteps(steps)


def test_alphas_are_the_float32_products_of_the_facts() -> None:
    table = alphas_cumprod(SCHEDULE)
    expected = {0: 0.9999, 100: 0.8951414, 500: 0.07779665, 990: 4.837049e-5, 999: 4.035830e-5}
    for t, value in expected.items():
        assert table[t].item() == pytest.approx(value, rel=1e-6)


def perfect_run(scheduler: Scheduler, steps: int, clean: torch.Tensor) -> torch.Tensor:
    """Samples with a model that knows the clean latent."""
    run, table = timesteps(steps), alphas_cumprod(SCHEDULE)
    generator = torch.Generator().manual_seed(0)
    x, previous = torch.randn(clean.shape, generator=generator), None
    for index, t in enumerate(run):
        alpha, sigma = table[t].sqrt(), (1 - table[t]).sqrt()
        v = (alpha * x - clean) / sigma
        x, estimate = scheduler.step(
            SCHEDULE, t, run[index + 1] if index + 1 < steps else None, x, v,
            lambda: torch.randn(clean.shape, generator=generator), previous,
        )  # fmt: skip
        previous = (t, estimate) if scheduler.uses_history else None
    return x


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
@pytest.mark.parametrize("steps", [1, 2, 10, 600])
def test_a_perfect_model_is_sampled_to_the_clean_latent(name: str, steps: int) -> None:
    clean = torch.linspace(-2, 2, 24).view(3, 8)
    torch.testing.assert_close(perfect_run(SCHEDULERS[name], steps, clean), clean, atol=2e-4, rtol=0)


def test_ddim_keeps_the_variance_of_gaussian_data() -> None:
    """For data N(0, 1) the exact v-prediction is 0; a step is then linear in sample and noise, and small steps must
    keep the variance 1 that every marginal has."""
    variance, run = 1.0, timesteps(1000)
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    for t, following in pairwise(run):
        of_sample, _ = DDIM().step(SCHEDULE, t, following, one, zero, lambda: zero)
        of_noise, _ = DDIM().step(SCHEDULE, t, following, zero, zero, lambda: one)
        variance = of_sample.item() ** 2 * variance + of_noise.item() ** 2
        assert variance == pytest.approx(1, abs=0.02)


def test_dpm_solver_is_of_second_order_on_gaussian_data() -> None:
    """For data N(0, s^2) the probability flow has a closed form: halving the steps must quarter the error."""
    s, table, start, end = 0.3, alphas_cumprod(SCHEDULE), 800, 100

    def error(steps: int) -> float:
        run = [round(start - index * (start - end) / steps) for index in range(steps)] + [end]
        x, previous = torch.ones(1, 1, dtype=torch.float64), None
        for t, following in pairwise(run):
            a = table[t].double()
            v = (1 - s**2) * a.sqrt() * (1 - a).sqrt() / (a * s**2 + 1 - a) * x
            x, clean = DPMSolverPP2M().step(SCHEDULE, t, following, x, v, lambda: torch.zeros(1, 1), previous)
            previous = (t, clean)
        first, last = (math.sqrt(table[t].item() * s**2 + 1 - table[t].item()) for t in (start, end))
        return abs(x.item() - last / first)

    assert 3 < error(10) / error(20) < 5
    assert 3 < error(20) / error(40) < 5.5
