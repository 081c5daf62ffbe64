"""Random checkpoints are like official ones in every name, shape, type and byte of layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cli.make_checkpoint.__main__ import main
from cli.make_checkpoint.weights import state_dict
from models.checkpoint.official import open_official
from models.config import Stage, StageConfig, TextConfig
from models.importer import candidates
from models.sizes import OFFICIAL, TEXT_SIZES, TINY

MANIFEST = Path(__file__).parents[1] / "golden" / "manifest_objaverse.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("random")
    assert main([str(path)]) == 0
    return path


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_names_shapes_and_types_at_official_size_are_those_of_the_manifest(stage: Stage) -> None:
    official = json.loads(MANIFEST.read_text())[stage]["state_dict"]
    made = {
        name: [list(later.shape), str(later.dtype).removeprefix("torch.")]
        for name, later in state_dict(OFFICIAL[stage], 0).items()
    }
    assert made == official


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_the_importer_reads_it_and_finds_the_architecture(folder: Path, stage: Stage) -> None:
    source = open_official(folder / f"objaverse_{stage}", stage)
    assert source.config == TINY[stage]
    assert source.warnings == ()
    assert all(source.tensor(name).isfinite().all() for name in source.keys)


def test_a_text_tower_fits_them_so_that_they_can_be_served(folder: Path) -> None:
    found = {candidate.folder.name: candidate for candidate in candidates(folder)}
    assert {name: candidate.model_set for name, candidate in found.items()} == dict.fromkeys(
        ("random_text", "objaverse_coarse", "objaverse_fine"), "official"
    )
    config = found["random_text"].open().config
    assert isinstance(config, TextConfig)
    assert config.width == TINY["coarse"].unet.context_dim
    assert TEXT_SIZES["official"].width == OFFICIAL["coarse"].unet.context_dim


def test_torch_reads_it_and_training_weights_differ_from_the_moving_average(folder: Path) -> None:
    state = torch.load(folder / "objaverse_coarse" / "last.ckpt", weights_only=True)["state_dict"]
    raw = state["unet.input_blocks.1.0.in_layers.2.weight"]
    average = state["unet_ema.input_blocks10in_layers2weight"]
    assert raw.shape == average.shape
    assert not torch.equal(raw, average)
    assert state["unet_ema.num_updates"].dtype is torch.int32


def test_tensors_lie_aligned_in_the_file_so_that_they_can_be_mapped(folder: Path) -> None:
    path = folder / "objaverse_fine" / "last.ckpt"
    mapped = torch.load(path, mmap=True, weights_only=True)["state_dict"]
    assert all(value.data_ptr() % 64 == 0 for value in mapped.values() if value.numel())


def test_structure_heads_are_made_to_keep_about_46000_coarse_voxels() -> None:
    config: StageConfig = OFFICIAL["coarse"]
    state = state_dict(config, 0)
    cells = float(config.vae.latent_resolution**3)
    positive = torch.randn(20_000, config.vae.width, generator=torch.Generator().manual_seed(1)).clamp(min=0)
    for level in range(config.vae.num_blocks):
        head = f"vae.unet.struct_convs.Struct-{level + 1}.OutConv"
        weight = state[f"{head}.weight"].make()
        logits = positive[:, : weight.shape[1]] @ weight.T + state[f"{head}.bias"].make()
        cells *= float((logits[:, 0] > logits[:, 1]).float().mean()) * (8 if level else 1)
    assert 35_000 < cells < 60_000
