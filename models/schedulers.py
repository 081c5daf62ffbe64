"""Noise schedule and schedulers for v-prediction models: DDIM with eta = 1, and DPM-Solver++(2M).

A scheduler holds no state of a run, and a step is a pure function of tensors, so samples with different step counts
go through one batch. Coefficients are plain numbers, computed once for a pair of timesteps and then cached. `plan`
has those of a whole run as a table, with which a step of either scheduler is one formula for a batch in one tensor.
`step` takes the same coefficients for one sample alone; only the history term of DPM-Solver++ is rounded in another
order there, so its last bits differ from the table's.
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


@lru_cache(maxsize=256)
def timesteps(steps: int, num_train_timesteps: int = 1000) -> tuple[int, ...]:
    """The timesteps of a run, descending to 0.

    XCube spaces them by r = num // steps. Where that leaves a stretch of r or more unused at the noisy end (600 steps
    would begin at 599), they are spread evenly instead: i * num // steps.

    Args:
        steps: Denoising steps of the run, 1 to `num_train_timesteps`.
        num_train_timesteps: Timesteps of the noise schedule.

    Returns:
        One timestep a step.

    Raises:
        ValueError: steps is out of range.
    """
    if not 1 <= steps <= num_train_timesteps:
        raise ValueError(f"steps must be 1 to {num_train_timesteps}, not {steps}")
    spacing = num_train_timesteps // steps
    if num_train_timesteps % steps < spacing:
        return leading_timesteps(steps, num_train_timesteps)
    return tuple(index * num_train_timesteps // steps for index in reversed(range(steps)))


def leading_timesteps(steps: int, num_train_timesteps: int = 1000) -> tuple[int, ...]:
    """The official spacing alone, for parity: multiples of num // steps, whatever is left out."""
    return tuple(index * (num_train_timesteps // steps) for index in reversed(range(steps)))


class Coefficients(NamedTuple):
    """A step of any scheduler, from x and the model's prediction v.

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


class Scheduler(Protocol):
    """One way from noise to a latent."""

    uses_history: bool

    def coefficients(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, t_previous: int | None
    ) -> Coefficients:
        """The coefficients of one step.

        Args:
            schedule: The noise schedule that the model was trained with.
            t: The timestep of the sample.
            t_next: The timestep after the step, None for the clean latent.
            t_previous: The timestep of the step before, None where its result is not known.
        """

    def step(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, x: Tensor, v: Tensor, draw: Noise,
        previous: tuple[int, Tensor] | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """One step of one sample.

        Args:
            schedule: The noise schedule that the model was trained with.
            t: The timestep of the sample.
            t_next: The timestep after the step, None for the clean latent.
            x: The sample, float32 [V, C].
            v: The model's prediction, float32 [V, C].
            draw: Draws the noise of the step, float32 [V, C].
            previous: Timestep and predicted clean latent of the step before, for multistep schedulers.

        Returns:
            The next sample and the predicted clean latent, float32 [V, C] each.
        """


class DDIM:
    """DDIM with eta = 1 (Song et al., "Denoising Diffusion Implicit Models", 2021), x0 never clipped."""

    uses_history = False

    def coefficients(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, t_previous: int | None = None
    ) -> Coefficients:
        """See `Scheduler.coefficients`; `t_previous` is not used."""
        return _ddim(schedule, t, t_next)

    def step(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, x: Tensor, v: Tensor, draw: Noise,
        previous: tuple[int, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """See `Scheduler.step`; `previous` is not used."""
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
        """See `Scheduler.coefficients`."""
        first_order = _dpm_first_order(schedule, t, t_next)
        if t_next is None or t_previous is None:
            return first_order
        h, h_previous = _log_snr_step(schedule, t, t_next), _log_snr_step(schedule, t_previous, t)
        return first_order._replace(change_share=first_order.clean_share * h / (2 * h_previous))

    def step(
        self, schedule: ScheduleConfig, t: int, t_next: int | None, x: Tensor, v: Tensor, draw: Noise,
        previous: tuple[int, Tensor] | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """See `Scheduler.step`; draws no noise."""
        c = _dpm_first_order(schedule, t, t_next)
        clean = c.alpha * x - c.sigma * v
        if t_next is None:
            return clean, clean
        estimate = clean
        if previous is not None:
            ratio = _log_snr_step(schedule, previous[0], t) / _log_snr_step(schedule, t, t_next)
            estimate = clean + (clean - previous[1]) / (2 * ratio)
        return c.x_share * x + c.clean_share * estimate, clean


SCHEDULERS: dict[str, Scheduler] = {"ddim": DDIM(), "dpm++": DPMSolverPP2M()}
"""By the names that requests, `Pipeline.generate` and the stages' `start` take."""


@lru_cache(maxsize=64)
def plan(name: str, schedule: ScheduleConfig, steps: int) -> Tensor:
    """The coefficients of a whole run of a scheduler, float32 [steps, 7] on the CPU."""
    run: list[int | None] = [*timesteps(steps, schedule.num_train_timesteps), None]
    scheduler = SCHEDULERS[name]
    rows = [
        scheduler.coefficients(schedule, t, run[index + 1], run[index - 1] if index else None)
        for index, t in enumerate(run)
        if t is not None
    ]
    return torch.tensor(rows)


@lru_cache(maxsize=64)
def draws(name: str, schedule: ScheduleConfig, steps: int) -> tuple[bool, ...]:
    """Which steps of a whole run draw noise."""
    return tuple((plan(name, schedule, steps)[:, Coefficients._fields.index("noise_share")] != 0).tolist())


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
def _dpm_first_order(schedule: ScheduleConfig, t: int, t_next: int | None) -> Coefficients:
    alpha, sigma, _ = _half_log_snr(schedule, t)
    if t_next is None:
        return Coefficients(alpha, sigma)
    alpha_next, sigma_next, _ = _half_log_snr(schedule, t_next)
    share = -alpha_next * math.expm1(-_log_snr_step(schedule, t, t_next))
    return Coefficients(alpha, sigma, clean_share=share, x_share=sigma_next / sigma)


def _log_snr_step(schedule: ScheduleConfig, t: int, t_next: int) -> float:
    """By how much half the logarithm of the signal-to-noise ratio grows from one timestep to another."""
    return _half_log_snr(schedule, t_next)[2] - _half_log_snr(schedule, t)[2]


@lru_cache(maxsize=4096)
def _half_log_snr(schedule: ScheduleConfig, t: int) -> tuple[float, float, float]:
    alpha_squared = alphas_cumprod(schedule)[t].item()
    alpha, sigma = math.sqrt(alpha_squared), math.sqrt(1 - alpha_squared)
    return alpha, sigma, math.log(alpha) - math.log(sigma)
