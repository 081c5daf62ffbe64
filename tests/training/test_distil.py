"""Students learn where their teachers go: walks, guidance, and a whole distillation of a denoiser that is known."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.config import ScheduleConfig
from models.schedulers import alphas_cumprod
from training.distil import STUDENT_STEPS, Batch, Inputs, distil, guided, path, walk
from training.engine import Optimization
from training.recipe import Plan

SCHEDULE = ScheduleConfig()
ALPHAS = alphas_cumprod(SCHEDULE)
MEAN = torch.tensor([2.0, -1.0])


class Denoiser(nn.Module):
    """Predicts v as if every clean latent were `mean`, plus `told` times one where there is a caption."""

    def __init__(self, mean: Tensor, told: float = 0.0) -> None:
        super().__init__()
        self.mean = nn.Parameter(mean.clone())
        self.told = nn.Parameter(torch.tensor(told))

    def forward(self, noisy: Tensor, timesteps: Tensor, told: bool) -> Tensor:
        alpha = ALPHAS[timesteps][:, None]
        clean = self.mean + (self.told if told else 0.0)
        return (alpha.sqrt() * noisy - clean) / (1 - alpha).sqrt()


def batch(clean: Tensor, noise: Tensor) -> Batch:
    rows = len(clean)
    return Batch(clean, noise, torch.arange(rows), None, rows, lambda model, x, t, told: model(x, t, told))


def inputs(clean: Tensor, generator: torch.Generator) -> Inputs:
    return Inputs(lambda step: (torch.randn(clean.shape, generator=generator),), partial(batch, clean))


def test_a_walk_ends_where_the_teacher_says_that_the_clean_latent_is() -> None:
    teacher = Denoiser(MEAN)
    ends = walk(lambda x, t: teacher(x, torch.full((3,), t), True), torch.randn(3, 2), [750, 500, 40, 0], ALPHAS)
    torch.testing.assert_close(ends, MEAN.expand(3, 2), rtol=1e-3, atol=1e-3)


def test_a_path_begins_at_the_student_s_timestep_and_goes_down_to_the_last() -> None:
    ways = path(500, 32, SCHEDULE)
    assert ways[0] == 500
    assert ways[-1] == 0
    assert ways == sorted(set(ways), reverse=True)
    assert path(0, 32, SCHEDULE) == [0]


def test_guidance_goes_beyond_what_the_caption_changes() -> None:
    teacher, clean = Denoiser(MEAN, told=1.0), torch.zeros(4, 2)
    t = torch.full((4,), 500)
    v, plain = (guided(teacher, batch(clean, clean), clean, t, scale) for scale in (3.0, 1.0))
    s = (1 - ALPHAS[500]).sqrt()
    torch.testing.assert_close(-s * v, MEAN.expand(4, 2) + 3)
    torch.testing.assert_close(-s * plain, MEAN.expand(4, 2) + 1)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_student_without_guidance_ends_where_its_guided_teacher_does(scale: float, tmp_path: Path) -> None:
    clean = torch.randn(64, 2, generator=torch.Generator().manual_seed(1))
    plan = Plan(600, 64, Optimization(lr=0.02, warmup=1, weight_decay=0.0, ema=0.9))
    generator = torch.Generator().manual_seed(0)
    student = distil(
        "coarse", Denoiser(MEAN, told=1.0), inputs(clean, generator), plan, SCHEDULE, tmp_path, None, generator, scale
    )
    assert isinstance(student, Denoiser)
    torch.testing.assert_close(student.mean + student.told, MEAN + scale, rtol=0.05, atol=0.05)
    assert (tmp_path / "coarse_guided.pt").exists() == (scale != 1)


def test_a_distillation_that_is_done_is_not_repeated(tmp_path: Path) -> None:
    clean = torch.randn(8, 2)
    plan = Plan(STUDENT_STEPS * 2, 8, Optimization(lr=0.02, warmup=1, ema=0.9))

    def run() -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        given = inputs(clean, generator)
        return distil("fine", Denoiser(MEAN), given, plan, SCHEDULE, tmp_path, None, generator)

    first, second = run(), run()
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_rows_that_are_only_room_have_no_part_in_the_error() -> None:
    inside = torch.tensor([True, True, False])
    made = Batch(MEAN, MEAN, torch.zeros(3).long(), inside, 2, lambda *_: MEAN)
    ours, theirs = torch.tensor([[1.0, 3.0], [0.0, 2.0], [9.0, 9.0]]), torch.zeros(3, 2)
    assert made.error(ours, theirs).item() == pytest.approx((5 + 2) / 2)
