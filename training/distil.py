"""Few steps: students that do in four steps, without guidance, what their teachers do in many with it.

Guidance comes first (Meng et al., "On distillation of guided diffusion models", 2023): the coarse student learns what
its teacher predicts with guidance, so that a step runs the network once and not twice. Then come the steps: from a
noisy latent at one of the student's timesteps the teacher walks to the clean one, without noise on the way, and the
student learns to be there at once. DDIM with eta = 1 puts fresh noise on that clean latent for the next step, as in
sampling with several steps of a consistency model (Song et al., 2023).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.config import ScheduleConfig
from models.graphs import Graphs
from models.schedulers import timesteps as served_timesteps
from training.diffusion import Noising
from training.engine import Budget, Losses, Trainer
from training.recipe import Plan
from training.recorded import Recorded

SCALE = 7.5
"""Guidance that becomes part of the student: the API's default."""
STUDENT_STEPS, TEACHER_STEPS = 4, 16
GUIDED_SHARE = 0.4
"""Of the steps and the time of a plan, for guidance where there is any."""


@dataclass(frozen=True)
class Batch:
    """Latents to learn from. clean, noise: [N, …], rows of samples; owner: each row's sample, int64 [N].

    inside: which rows count, bool [N]; None for all. samples: how many there are, those that do not count with them.
    predict: a model's v [N, …] for noisy latents and one timestep a sample [samples]; the last argument tells whether
    with the captions or without any.
    """

    clean: Tensor
    noise: Tensor
    owner: Tensor
    inside: Tensor | None
    samples: int
    predict: Callable[[nn.Module, Tensor, Tensor, bool], Tensor]

    def error(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """The mean squared error of the rows that count."""
        rows = (ours - theirs).square().flatten(1).mean(dim=1)
        if self.inside is None:
            return rows.mean()
        return torch.where(self.inside, rows, 0).sum() / self.inside.sum()


@dataclass(frozen=True)
class Inputs:
    """Where batches come from.

    draw: the tensors of a step, with all that is random in them. unfold: a batch of them; it draws nothing and waits
    for nothing, so that it can be recorded.
    """

    draw: Callable[[int], tuple[Tensor, ...]]
    unfold: Callable[..., Batch]


def guided(model: nn.Module, batch: Batch, noisy: Tensor, timesteps: Tensor, scale: float) -> Tensor:
    """The prediction with guidance of that scale; 1 is without."""
    told = batch.predict(model, noisy, timesteps, True)
    if scale == 1:
        return told
    untold = batch.predict(model, noisy, timesteps, False)
    return untold + scale * (told - untold)


def path(start: int, steps: int, schedule: ScheduleConfig) -> list[int]:
    """The timesteps from `start` on with which a teacher of so many steps goes to the clean latent."""
    return [start, *(t for t in served_timesteps(steps, schedule.num_train_timesteps) if t < start)]


@torch.no_grad()
def walk(predict: Callable[[Tensor, int], Tensor], noisy: Tensor, ways: Sequence[int], alphas: Tensor) -> Tensor:
    """Where DDIM without noise ends that begins with `noisy` at the first of these timesteps. predict: v at one."""
    x = noisy
    for here, there in zip(ways, [*ways[1:], None], strict=True):
        a, s = alphas[here].sqrt(), (1 - alphas[here]).sqrt()
        v = predict(x, here)
        clean, noise = a * x - s * v, a * v + s * x
        x = clean if there is None else alphas[there].sqrt() * clean + (1 - alphas[there]).sqrt() * noise
    return x


def distil(
    name: str, teacher: nn.Module, inputs: Inputs, plan: Plan, schedule: ScheduleConfig, folder: Path,
    minutes: float | None, generator: torch.Generator, scale: float = 1.0,
) -> nn.Module:  # fmt: skip
    """The averaged student of a denoiser, resuming from `folder`.

    Args:
        name: Of the stage, and of its states: `<name>_guided.pt` where there is guidance, then `<name>.pt`.
        teacher: The denoiser that is served today.
        inputs: Where batches come from.
        plan: Steps and rates of both phases together.
        schedule: The noise schedule that the teacher was trained with.
        folder: Where states are kept.
        minutes: Time for both phases, None for as long as it takes.
        generator: Where chance comes from.
        scale: Guidance of the teacher; 1 for a stage without.
    """
    share = GUIDED_SHARE if scale != 1 else 0.0
    teacher = teacher.eval().requires_grad_(False)
    noising = Noising(schedule, generator)
    alphas = noising.alphas

    def trained(title: str, part: float, losses: Callable[[nn.Module], Callable[[int], Losses]]) -> nn.Module:
        student = copy.deepcopy(teacher).train().requires_grad_(True)
        budget = Budget(max(1, round(plan.steps * part)), None if minutes is None else minutes * part)
        trainer = Trainer(title, student, folder / f"{title}.pt", budget, plan.optimization, generator)
        return trainer.run(losses(student)).eval().requires_grad_(False)

    def of_guidance(student: nn.Module) -> Callable[[int], Losses]:
        def compute(timesteps: Tensor, *drawn: Tensor) -> Losses:
            batch = inputs.unfold(*drawn)
            timesteps = functional.pad(timesteps, (0, batch.samples - plan.batch))
            noisy, _ = noising.mixed(batch.clean, timesteps[batch.owner], batch.noise)
            with torch.no_grad():
                wanted = guided(teacher, batch, noisy, timesteps, scale)
            return {"v": batch.error(batch.predict(student, noisy, timesteps, True), wanted)}

        recorded = Recorded(student, compute)

        def losses(step: int) -> Losses:
            drawn = inputs.draw(step)
            timesteps = noising.timesteps(plan.batch)
            order = torch.randperm(plan.batch, generator=generator, device=timesteps.device)
            return recorded(timesteps[order], *drawn)

        return losses

    def of_steps(student: nn.Module) -> Callable[[int], Losses]:
        own, graphs = served_timesteps(STUDENT_STEPS, schedule.num_train_timesteps), Graphs()

        def computing(start: int) -> Callable[..., Losses]:
            ways = path(start, TEACHER_STEPS, schedule)

            def compute(*drawn: Tensor) -> Losses:
                batch = inputs.unfold(*drawn)

                def at(timestep: int) -> Tensor:
                    return torch.full((batch.samples,), timestep, device=batch.clean.device)

                noisy, _ = noising.mixed(batch.clean, at(start)[batch.owner], batch.noise)
                end = walk(lambda x, t: batch.predict(teacher, x, at(t), True), noisy, ways, alphas)
                a, s = alphas[start].sqrt(), (1 - alphas[start]).sqrt()
                clean = a * noisy - s * batch.predict(student, noisy, at(start), True)
                # Errors of the clean latent, and not of v: at the last, nearly clean timestep v would be mostly noise.
                return {"clean": batch.error(clean, end)}

            return compute

        recorded = [Recorded(student, computing(start), graphs) for start in own]
        return lambda step: recorded[step % len(own)](*inputs.draw(step))

    if share:
        teacher = trained(f"{name}_guided", share, of_guidance)
    return trained(name, 1 - share, of_steps)
