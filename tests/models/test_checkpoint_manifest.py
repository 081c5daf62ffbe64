"""Every tensor of the official files has a place in our modules, or a reason why it has none."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoint.architecture import Shapes, stage_config
from models.checkpoint.official import EMA_COUNTERS, TRAINING_WEIGHTS, VAE_ENCODER, plan
from models.checkpoint.rename import ENCODER, relayout, rename_encoder, rename_unet
from models.checkpoint.source import expected_shapes
from models.checkpoint.training_config import TrainingConfig
from models.config import Stage
from models.sizes import OFFICIAL
from models.vae_encoder import Encoder

GOLDEN = Path(__file__).parents[1] / "golden"


def manifest(stage: Stage) -> dict[str, list[int]]:
    values = json.loads((GOLDEN / "manifest_objaverse.json").read_text())[stage]["state_dict"]
    return {key: shape for key, (shape, _dtype) in values.items()}


def settings(stage: Stage) -> Any:
    return json.loads((GOLDEN / f"config_{stage}.json").read_text())


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_every_key_and_shape_of_the_official_files_is_ours_or_not_needed(stage: Stage) -> None:
    shapes = manifest(stage)
    sparse = stage == "fine"
    assigned = plan(shapes, sparse)
    assert assigned.unknown == []
    assert set(assigned.used.values()) | set(assigned.not_needed) == set(shapes)
    assert not set(assigned.used.values()) & set(assigned.not_needed)
    found = {
        name: tuple(relayout(name, torch.empty(shapes[key], device="meta"), sparse or name.startswith("vae.")).shape)
        for name, key in assigned.used.items()
    }
    assert found == expected_shapes(OFFICIAL[stage])


@pytest.mark.parametrize(("stage", "unet", "encoder"), [("coarse", 864, 40), ("fine", 794, 34)])
def test_the_reasons_for_leaving_tensors_out_are_counted(stage: Stage, unet: int, encoder: int) -> None:
    assigned = plan(manifest(stage), stage == "fine")
    assert Counter(assigned.not_needed.values()) == {TRAINING_WEIGHTS: unet, EMA_COUNTERS: 2, VAE_ENCODER: encoder}
    ema = [key for name, key in assigned.used.items() if name.startswith("unet.")]
    assert len(ema) == unet
    assert all(key.startswith("unet_ema.") for key in ema)


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_the_encoder_that_training_needs_fits_the_official_one(stage: Stage) -> None:
    with torch.device("meta"):
        ours = {name: value.shape for name, value in Encoder(OFFICIAL[stage].vae).state_dict().items()}
        official = {key: torch.empty(shape) for key, shape in manifest(stage).items() if key.startswith("vae.")}
    assert {name: value.shape for name, value in rename_encoder(official).items()} == ours
    assert all(ENCODER.official(name) for name in ours)


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_the_architecture_follows_from_shapes_alone(stage: Stage) -> None:
    """Heads and grid are the only values that shapes do not tell."""
    shapes = manifest(stage)
    known = TrainingConfig({"resolution": round(1 / OFFICIAL[stage].voxel_size)}, "config.yaml")
    find = {key: tuple(shape) for key, shape in shapes.items()}.get
    config, warnings = stage_config(stage, known, TrainingConfig({}, ""), Shapes(Path("last.ckpt"), find))
    assert config == OFFICIAL[stage]
    assert warnings == ["config.yaml: num_heads is missing, 8 was assumed"]


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_the_architecture_follows_from_the_official_settings(stage: Stage) -> None:
    resolved = settings(stage)
    diffusion, vae = TrainingConfig(resolved["diffusion"], "config.yaml"), TrainingConfig(resolved["vae"], "vae.yaml")
    find = {key: tuple(shape) for key, shape in manifest(stage).items()}.get
    config, warnings = stage_config(stage, diffusion, vae, Shapes(Path("last.ckpt"), find))
    assert config == OFFICIAL[stage]
    assert warnings == []


def test_sparse_kernels_change_axes_and_dense_ones_do_not() -> None:
    kernel = torch.arange(27.0).reshape(1, 1, 3, 3, 3)
    sparse = rename_unet({"out_block.2.weight": kernel}, sparse=True)["out_conv.weight"]
    dense = rename_unet({"out.2.weight": kernel}, sparse=False)["out_conv.weight"]
    assert torch.equal(dense, kernel)
    assert sparse[0, 0, 2, 1, 0] == kernel[0, 0, 0, 1, 2]
    assert sparse.is_contiguous()
