"""Training on a GPU: it goes on from a state of a machine without one and the other way, and is fed by threads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.text import TextEncoder
from tests.support.voxel_rows import rows_of_shapes
from training import rows
from training.coarse import train_coarse
from training.cubes import CubeBatches, Cubes
from training.dataset import Labels, Shapes
from training.engine import Budget, Optimization, Trainer, seed_everything
from training.latents import encode_coarse
from training.loading import Batches
from training.recipe import SMOKE
from training.rows import MappedRows, Rows
from training.start import Start
from training.tokens import END, START
from training.vae import Autoencoder, train_vae

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("first", "second"), [(CPU, GPU), (GPU, CPU)], ids=["to a GPU", "from a GPU"])
def test_a_training_goes_on_on_the_other_device(first: torch.device, second: torch.device, tmp_path: Path) -> None:
    def trainer(device: torch.device, steps: int) -> Trainer:
        generator = seed_everything(0, device)
        model = torch.nn.Linear(3, 1).to(device)
        plan = Optimization(lr=0.05, warmup=5, ema=0.9)
        return Trainer("line", model, tmp_path / "line.pt", Budget(steps), plan, generator)

    def run(made: Trainer) -> None:
        def losses(_: int) -> dict[str, torch.Tensor]:
            x = torch.randn(64, 3, generator=made.generator, device=made.generator.device)
            return {"mse": (made.modules(x) - x.sum(1, keepdim=True)).square().mean()}

        made.run(losses)

    started = trainer(first, 100)
    run(started)
    state = torch.load(tmp_path / "line.pt", weights_only=True, map_location="cpu")
    torch.save({**state, "done": False}, tmp_path / "line.pt")
    resumed = trainer(second, 300)
    assert resumed.step == 100
    for ours, theirs in zip(resumed.modules.parameters(), started.modules.parameters(), strict=True):
        assert ours.device.type == second.type
        assert torch.equal(ours.cpu(), theirs.cpu())
    run(resumed)
    (weight, _) = resumed.average.parameters()
    torch.testing.assert_close(weight.detach().cpu(), torch.ones(1, 3), rtol=0, atol=0.02)


def test_voxels_too_many_for_a_gpu_come_in_batches_from_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = rows_of_shapes(6, fine=True).to(GPU)
    assert resident.ijk.device.type == "cuda"
    monkeypatch.setattr(rows, "SHARE_OF_MEMORY", 0.0)
    table = rows_of_shapes(6, fine=True)
    mapped = MappedRows([table], torch.zeros(6, dtype=torch.int64), torch.arange(6))
    for elsewhere in (table.to(GPU), mapped.to(GPU)):
        assert not isinstance(elsewhere, Rows) or elsewhere.ijk.device.type == "cpu"
        with Batches(elsewhere, 4, GPU) as streamed, Batches(resident, 4, GPU) as there:
            for turn in range(20):
                ours, theirs = streamed(turn), there(turn)
                assert torch.equal(ours.grid.ijk, theirs.grid.ijk)
                assert torch.equal(ours.values, theirs.values)


def test_a_vae_trained_on_streamed_voxels_is_that_trained_on_resident_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def last_loss(name: str) -> float:
        voxels, generator = rows_of_shapes(6, fine=True).to(GPU), seed_everything(0, GPU)
        train_vae(SMOKE.fine, SMOKE.fine_vae_plan, voxels, None, tmp_path / name, None, generator)
        lines = capsys.readouterr().out.splitlines()
        assert any("waited for data" in line for line in lines)
        return float(next(line for line in lines if ": losses " in line).split()[-1])

    resident = last_loss("resident")
    monkeypatch.setattr(rows, "SHARE_OF_MEMORY", 0.0)
    # Sums on a GPU have no fixed order.
    assert last_loss("streamed") == pytest.approx(resident, rel=0.05)


def coarse_shapes(count: int) -> Shapes:
    tokens = torch.tensor([[[START, 600 + number, END]] for number in range(count)], dtype=torch.int32)
    nothing = torch.zeros(count, 0).long()
    return Shapes(torch.zeros(count).long(), nothing, tokens, rows_of_shapes(count), None, Labels(("box",), ()))


def test_a_coarse_denoiser_learns_from_streamed_latents_what_it_does_from_resident_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    vae, encoder = Autoencoder(SMOKE.coarse).to(GPU).eval(), TextEncoder(SMOKE.text).to(GPU).eval()
    encoder.requires_grad_(False)
    shapes = coarse_shapes(8)

    def last_loss(latents: Cubes, name: str) -> float:
        generator = seed_everything(0, GPU)
        start, folder = Start.of(None, None), tmp_path / name
        train_coarse(SMOKE, shapes, latents, encoder, vae.decoder, start, ("a box",), folder, None, generator)
        lines = capsys.readouterr().out.splitlines()
        return float(next(line for line in lines if ": losses " in line).split()[-1])

    resident = encode_coarse(vae, shapes.coarse.to(GPU), tmp_path / "none", size=2)
    assert resident.resident
    monkeypatch.setattr(rows, "SHARE_OF_MEMORY", 0.0)
    streamed = encode_coarse(vae, shapes.coarse, tmp_path / "latents", size=2)
    assert streamed.mapped
    for latents in (streamed, Cubes([resident.parts[0].cpu()], GPU)):
        assert not latents.resident
        with CubeBatches(latents, 4) as read, CubeBatches(resident, 4) as there:
            for turn in range(20):
                (ours, cubes), (theirs, same) = read(turn), there(turn)
                assert torch.equal(ours, theirs)
                assert torch.equal(cubes, same)
    # Sums on a GPU have no fixed order.
    assert last_loss(streamed, "streamed") == pytest.approx(last_loss(resident, "resident"), rel=0.05)
