"""Models hold the encoders that their latents come from, so that others can train them further; serving needs none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoint.own import open_own
from models.errors import CheckpointError
from models.importer import import_models
from models.loading import load_fine
from models.runtime import Runtime
from models.sparse import SparseUNet
from models.stages import FineStage
from tests.support.saved_models import leave_out_encoder
from tests.support.store import own_store
from training.dataset import unit
from training.export import export_stage
from training.recipe import SMOKE
from training.rows import Rows
from training.shapes import sample, voxelize
from training.start import Start
from training.vae import Autoencoder, train_vae


@pytest.fixture(scope="module")
def vae() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(SMOKE.fine).eval().requires_grad_(False)


@pytest.fixture
def folder(vae: Autoencoder, tmp_path: Path) -> Path:
    unet = SparseUNet(SMOKE.fine.unet)  # type: ignore[arg-type]
    stage = FineStage(SMOKE.fine, unet, vae.decoder, 0.5, Runtime(torch.device("cpu")))
    export_stage(stage, tmp_path / "models" / "demo_fine", vae.encoder)
    return tmp_path / "models"


def test_from_such_a_model_new_shapes_have_the_latents_that_its_denoiser_knows(
    vae: Autoencoder, folder: Path, tmp_path: Path
) -> None:
    shape = voxelize(sample(3))
    normals = (shape.fine_normal * 127).round().to(torch.int8)
    rows = Rows(shape.fine_ijk.to(torch.int8), normals, torch.tensor([0, len(normals)]))
    start = Start.of(str(folder), None)
    assert start.gives("fine_vae")
    assert not start.gives("coarse_vae")
    generator = torch.Generator().manual_seed(0)
    found = train_vae(SMOKE.fine, SMOKE.fine_vae_plan, rows, start.fine, tmp_path, None, generator)
    assert not (tmp_path / "fine_vae.pt").exists()
    grid, stored = rows.batch(torch.tensor([0]))
    (_, ours, _), (_, theirs, _) = (model.encode(grid, unit(stored)) for model in (found, vae))
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)  # weights are kept in half precision
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_a_model_is_served_the_same_with_and_without_its_encoder(folder: Path) -> None:
    with_encoder = load_fine(folder / "demo_fine")
    with own_store(folder.parent / "store"):
        (imported,) = import_models(folder)
        assert imported.stored is not None
        stored = open_own(imported.stored.folder)
    assert any(name.startswith("encoder.") for name in stored.keys)
    leave_out_encoder(folder / "demo_fine")
    without = load_fine(folder / "demo_fine")
    for module in ("unet", "decoder"):
        ours, theirs = getattr(with_encoder, module).state_dict(), getattr(without, module).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_half_an_encoder_is_refused_by_name(folder: Path) -> None:
    weights = folder / "demo_fine" / "model.safetensors"
    tensors = load_file(weights)
    del tensors["encoder.mix.bias"]
    save_file(tensors, weights)
    with pytest.raises(CheckpointError, match=r"encoder\.mix\.bias is missing"):
        open_own(folder / "demo_fine")
