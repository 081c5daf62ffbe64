"""Noise schedule and samplers for v-prediction models: DDIM with eta = 1, and DPM-Solver++(2M).

Both are plain classes: coefficients are Python floats computed once, a step is a pure function of arrays, and a
sampler holds no state of a run, so samples with different step counts go through one batch. Where a batch is one
tensor, `plan` has the coefficients of a whole run as a table, and every step of either sampler is one formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from models.config import ScheduleConfig


@lru_cache(maxsize=8)
def alphas_cumprod(schedule: ScheduleConfig) -> Tensor:
    """Cumulative products of 1 - beta, float32 [num_train_timesteps], as the models were trained with."""
    betas = torch.linspace(schedule.beta_start, schedule.beta_end, schedule.num_train_timesteps, dtype=torch.float32)
    return torch.cumprod(1 - betas, dim=0)


def timesteps(steps: int, num_train_timesteps: int = 1000) -> list[int]:
    """The timesteps of a run, descending to 0.

    XCube spaces them by r = num // steps. Where that leaves a stretch of r or more unused at the noisy end (600 steps
    would begin at 599), they are spread evenly instead: i * num // steps. Raises ValueError outside 1 … num.
    """
    if not 1 <= steps <= num_train_timesteps:
        raise ValueError(f"steps must be 1 to {num_train_timesteps}, not {steps}")
    spacing = num_train_timesteps // steps
    if num_train_timesteps % steps < spacing:
        return [index * spacing for index in reversed(range(steps))]
    return [index * num_train_timesteps // steps for index in reversed(range(steps))]


def leading_timesteps(steps: int, num_train_timesteps: int = 1000) -> list[int]:
    """The official spacing alone, for parity: multiples of num // steps, whatever is left out."""
    return [index * (num_train_timesteps // steps) for index in reversed(range(steps))]


class Coefficients(NamedTuple):
    """A step of any sampler, from x and the model's prediction v.

    clean = alpha * x - sigma * v and epsilon = alpha * v + sigma * x are what the sample is made of. The next sample is
    clean_share * clean + epsilon_share * epsilon + noise_share * noise + x_share * x
    + change_share * (clean - the clean latent of the step before).
    """

    alpha: float
    sigma: float
    clean_share: float = 1.0
    epsilon_share: float = 0.0
    noise_share: float = 0.0
    x_share: float = 0.0
    change_share: float = 0.0


COEFFICIENTS = len(Coefficients._fields)
Noise = Callable[[], Tensor]
"""Draws the noise of the current step; called only if the step uses it."""


class Sampler(Protocol):
    """One way from noise to a latent."""

    uses_history: bool

    def coefficients(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, t_previous: int | None
    ) -> Coefficients:
        """Of the step from `t` to `t_next`; t_previous: the timestep of the step before, if its result is known."""

    def step(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, x: Tensor, v: Tensor, draw: Noise,
        previous: tuple[int, Tensor] | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """One step from timestep `t` to `t_next` (None = to the clean latent).

        x, v: the sample and the model's prediction, [N, C] float32. previous: timestep and predicted clean latent of
        the step before, for multistep samplers. Returns the next sample and the predicted clean latent.
        """


class DDIM:
    """DDIM with eta = 1 (Song et al., "Denoising Diffusion Implicit Models", 2021), x0 never clipped."""

    uses_history = False

    def coefficients(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, t_previous: int | None = None
    ) -> Coefficients:
        """See `Sampler.coefficients`; `t_previous` is not used."""
        return _ddim(schedule, t, t_next)

    def step(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, x: Tensor, v: Tensor, draw: Noise,
        previous: tuple[int, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """See `Sampler.step`; `previous` is not used."""
        c = _ddim(schedule, t, t_next)
        clean = c.alpha * x - c.sigma * v
        if t_next is None:
            return clean, clean
        epsilon = c.alpha * v + c.sigma * x
        return c.clean_share * clean + c.epsilon_share * epsilon + c.noise_share * draw().to(x.device), clean


class DPMSolverPP2M:
    """DPM-Solver++(2M), deterministic (Lu et al., "DPM-Solver++", 2022, algorithm 2); its ends are of order 1."""

    uses_history = True

    def coefficients(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, t_previous: int | None
    ) -> Coefficients:
        """See `Sampler.coefficients`."""
        alpha, sigma, log_snr = _half_log_snr(schedule, t)
        if t_next is None:
            return Coefficients(alpha, sigma)
        alpha_next, sigma_next, log_snr_next = _half_log_snr(schedule, t_next)
        h = log_snr_next - log_snr
        share = -alpha_next * math.expm1(-h)
        change = 0.0
        if t_previous is not None:
            change = share * h / (2 * (log_snr - _half_log_snr(schedule, t_previous)[2]))
        return Coefficients(alpha, sigma, clean_share=share, x_share=sigma_next / sigma, change_share=change)

    def step(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, x: Tensor, v: Tensor, draw: Noise,
        previous: tuple[int, Tensor] | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """See `Sampler.step`; draws no noise."""
        alpha, sigma, log_snr = _half_log_snr(schedule, t)
        clean = alpha * x - sigma * v
        if t_next is None:
            return clean, clean
        alpha_next, sigma_next, log_snr_next = _half_log_snr(schedule, t_next)
        h = log_snr_next - log_snr
        estimate = clean
        if previous is not None:
            ratio = (log_snr - _half_log_snr(schedule, previous[0])[2]) / h
            estimate = clean + (clean - previous[1]) / (2 * ratio)
        return sigma_next / sigma * x - alpha_next * math.expm1(-h) * estimate, clean


@lru_cache(maxsize=4096)
def _ddim(schedule: ScheduleConfig, t: int, t_next: int | None) -> Coefficients:
    table = alphas_cumprod(schedule)
    alpha = table[t]
    of_x, of_v = alpha.sqrt().item(), (1 - alpha).sqrt().item()
    if t_next is None:
        return Coefficients(of_x, of_v)
    alpha_next = table[t_next]
    variance = (1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)
    direction = (1 - alpha_next - variance).clamp(min=0).sqrt().item()
    return Coefficients(of_x, of_v, alpha_next.sqrt().item(), direction, variance.sqrt().item())


@lru_cache(maxsize=4096)
def _half_log_snr(schedule: ScheduleConfig, t: int) -> tuple[float, float, float]:
    alpha_squared = alphas_cumprod(schedule)[t].item()
    alpha, sigma = math.sqrt(alpha_squared), math.sqrt(1 - alpha_squared)
    return alpha, sigma, math.log(alpha) - math.log(sigma)


SAMPLERS: dict[str, Sampler] = {"ddim": DDIM(), "dpm++": DPMSolverPP2M()}


@lru_cache(maxsize=64)
def plan(name: str, schedule: ScheduleConfig, steps: int) -> Tensor:
    """The coefficients of a whole run of a sampler, float32 [steps, 7] on the CPU."""
    run: list[int | None] = [*timesteps(steps, schedule.num_train_timesteps), None]
    sampler = SAMPLERS[name]
    rows = [
        sampler.coefficients(schedule, t, run[index + 1], run[index - 1] if index else None)
        for index, t in enumerate(run)
        if t is not None
    ]
    return torch.tensor(rows)
