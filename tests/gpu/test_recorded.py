"""Training steps on a GPU: recorded as graphs, and with kernels that gather, they are what they are without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import kernels
from models.graphs import Graphs
from models.grids.unwaiting import NONE
from models.layers import TextContext
from models.runtime import Runtime
from models.sparse import SparseUNet
from models.stages import FineStage
from models.text import TextEncoder
from models.vae import Decoder
from training.dataset import Labels, Shapes
from training.engine import Losses, Optimization, mixed_precision, seed_everything
from training.export import export_stage, export_text
from training.padded import PaddedGrid, Room
from training.recipe import NEXT, SMOKE, Plan
from training.recorded import Recorded
from training.rows import Rows
from training.shapes import sample, voxelize
from training.start import Start
from training.students import distil_fine
from training.tokens import END, START
from training.vae import Autoencoder, vae_losses

GPU = torch.device("cuda")
SAMPLES, SPARE = 4, 300
TAKES = NEXT.fine.unet.in_channels


def keys_of(first: int) -> Tensor:
    shapes = [voxelize(sample(first + number)).coarse_ijk for number in range(SAMPLES)]
    table = Rows.join(Rows(s.to(torch.int8), torch.zeros(len(s), 1), torch.tensor([0, len(s)])) for s in shapes)
    return table.to(GPU).batch(torch.arange(SAMPLES))[0].keys


def step_of(unet: SparseUNet, rooms: list[Room]) -> Callable[..., Losses]:
    def compute(keys: Tensor, x: Tensor, states: Tensor, mask: Tensor, timesteps: Tensor) -> Losses:
        grid = PaddedGrid(keys, SAMPLES, rooms)
        with mixed_precision(GPU):
            out = unet(x, grid, timesteps, TextContext(states, mask)).float()
        return {"v": torch.where(grid.inside[:, None], out - x[:, :8], 0).square().sum() / grid.inside.sum()}

    return compute


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-6))


def test_a_recorded_step_has_the_losses_and_gradients_of_the_same_step_unrecorded() -> None:
    batches = [keys_of(first) for first in (0, 10, 20)]
    rows = max(len(keys) for keys in batches) + SPARE
    rooms = [Room(rows, 4096), Room(rows, 2048), Room(rows, 512)]
    torch.manual_seed(0)
    unet = SparseUNet(NEXT.fine.unet).to(GPU)  # type: ignore[arg-type]
    compute = step_of(unet, rooms)
    recorded = Recorded(unet, compute)
    parameters = list(unet.parameters())
    for turn, keys in enumerate(batches):
        generator = torch.Generator(GPU).manual_seed(turn)
        x, states = (torch.randn(*size, device=GPU, generator=generator) for size in ((rows, TAKES), (SAMPLES, 9, 128)))
        mask = torch.where(torch.arange(9, device=GPU) < 4 + turn, 0.0, -1e4).expand(SAMPLES, 9)
        timesteps = torch.tensor([900, 500, 10, 300, 0], device=GPU) + turn
        inputs = (functional.pad(keys, (0, rows - len(keys)), value=NONE), x, states, mask, timesteps)
        (loss,) = recorded(*inputs).values()
        assert not loss.requires_grad
        ours = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
        (wanted,) = compute(*inputs).values()
        theirs = torch.autograd.grad(wanted, parameters)
        assert relative(loss, wanted.detach()) < 0.01
        assert len(ours) == len(theirs)
        assert relative(*(torch.cat([value.flatten() for value in values]) for values in (ours, theirs))) < 0.02
    assert recorded._graph is not None


def test_a_recorded_training_goes_on_after_a_step_without_a_record() -> None:
    model = torch.nn.Linear(3, 1).to(GPU)
    recorded = Recorded(model, lambda x: {"mse": (model(x) - 1).square().mean()})
    first, second = torch.ones(2, 3, device=GPU), torch.full((2, 3), 2.0, device=GPU)
    recorded(first)
    model.zero_grad(set_to_none=True)
    (loss,) = recorded(second).values()
    wanted = (model(second) - 1).square().mean()
    torch.testing.assert_close(loss, wanted.detach())
    assert model.weight.grad is not None
    torch.testing.assert_close(model.weight.grad, torch.autograd.grad(wanted, model.weight)[0])


def test_gradients_of_a_vae_are_as_near_to_exact_ones_with_kernels_that_gather_as_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shapes = [voxelize(sample(seed)) for seed in range(3)]
    parts = [
        Rows(
            s.fine_ijk.to(torch.int8), (s.fine_normal * 127).round().to(torch.int8), torch.tensor([0, len(s.fine_ijk)])
        )
        for s in shapes
    ]
    grid, values = Rows.join(parts).to(GPU).batch(torch.arange(3))
    torch.manual_seed(0)
    model = Autoencoder(NEXT.fine).to(GPU)
    normals = functional.normalize(values.float(), dim=1)

    def found(half: bool) -> tuple[Tensor, Tensor]:
        with torch.autocast("cuda", torch.bfloat16, enabled=half, cache_enabled=False):
            losses = vae_losses(model, grid, normals, torch.Generator(GPU).manual_seed(0))
        total = torch.stack(list(losses.values())).sum()
        gradients = torch.autograd.grad(total, list(model.parameters()))
        return total.detach(), torch.cat([gradient.flatten() for gradient in gradients])

    with torch.no_grad():
        assert kernels.trains(torch.zeros(1, device=GPU, dtype=torch.bfloat16))
    loss, gradient = found(half=True)
    monkeypatch.setattr("models.kernels.switches", kernels.OFF)
    plain_loss, plain_gradient = found(half=True)
    exact_loss, exact_gradient = found(half=False)
    assert relative(loss, exact_loss) < 0.01
    assert relative(plain_loss, exact_loss) < 0.01
    # Maxima and ReLUs turn over when numbers are rounded: bfloat16 by itself is far from exact gradients here.
    assert relative(gradient, exact_gradient) < 1.1 * relative(plain_gradient, exact_gradient)


def test_a_distillation_records_its_steps_and_ends_as_one_without_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMOKE, fine_plan=Plan(8, 4, Optimization(lr=1e-3, warmup=1, ema=0.5)))
    torch.manual_seed(0)
    encoder = TextEncoder(SMOKE.text).to(GPU).eval().requires_grad_(False)
    export_text(encoder, recipe.text, {}, tmp_path / "demo_text")
    unet, decoder = SparseUNet(SMOKE.fine.unet), Decoder(SMOKE.fine.vae)  # type: ignore[arg-type]
    export_stage(FineStage(SMOKE.fine, unet, decoder, 0.5, Runtime(torch.device("cpu"))), tmp_path / "demo_fine")
    coarse = [voxelize(sample(seed)).coarse_ijk for seed in range(6)]
    parts = []
    for ijk in coarse:
        values = torch.randn(len(ijk), SMOKE.fine.vae.latent_channels + 4, generator=torch.Generator().manual_seed(1))
        values[:, -1] = 1
        parts.append(Rows(ijk.to(torch.int8), values, torch.tensor([0, len(ijk)])))
    latents = Rows.join(parts).to(GPU)
    tokens = torch.tensor([[[START, 600 + number, END]] for number in range(6)], dtype=torch.int32)
    shapes = Shapes(torch.zeros(6).long(), torch.zeros(6, 0).long(), tokens, latents, None, Labels(("box",), ()))

    def weights(name: str) -> Tensor:
        generator = seed_everything(0, GPU)
        start, folder = Start.of(str(tmp_path), None), tmp_path / name
        folder.mkdir()
        stage = distil_fine(recipe, shapes, latents, encoder, decoder, start, folder, None, generator)
        return torch.cat([parameter.detach().flatten() for parameter in stage.unet.parameters()])

    recorded = weights("recorded")
    monkeypatch.setattr(Graphs, "record", lambda *_: None)
    plain = weights("plain")
    before = torch.cat([parameter.detach().flatten() for parameter in unet.parameters()]).to(GPU)
    assert relative(recorded, plain) < 0.1 * relative(before, plain)
