"""Training starts from models that are there: sizes, weights and what stays as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cli.make_checkpoint.__main__ import main as make_checkpoint
from models.config import load_config
from models.dense import DenseUNet
from models.errors import ConfigError
from models.sizes import TINY
from models.text import TextEncoder
from tests.support.paths import ROOT
from tests.support.store import own_store
from training.recipe import SMALL
from training.start import Start, fill

CHECKPOINTS = ROOT / "checkpoints"


def test_from_nothing_nothing_is_taken_over() -> None:
    start = Start.of(None, None)
    recipe = SMALL.at(64)
    assert start.adapted(recipe, 64) == recipe
    assert start.scale_factor("coarse") is None
    assert not fill(TextEncoder(SMALL.text), start.text)


def test_from_the_demo_sizes_weights_and_scale_are_the_demo_s() -> None:
    start = Start.of(str(CHECKPOINTS), None)
    recipe = start.adapted(SMALL, 128)
    assert recipe.coarse == load_config(CHECKPOINTS / "demo_coarse" / "config.yaml")
    assert recipe.fine == load_config(CHECKPOINTS / "demo_fine" / "config.yaml")
    assert recipe.coarse_plan.optimization.lr < SMALL.coarse_plan.optimization.lr
    assert not start.keep_text
    tower = TextEncoder(recipe.text)
    before = tower.text.positional_embedding.detach().clone()
    assert fill(tower, start.text)
    assert not torch.equal(tower.text.positional_embedding, before)
    factor = start.scale_factor("fine")
    assert factor is not None
    assert factor > 0


def test_data_of_another_resolution_is_told_with_the_one_to_use() -> None:
    with pytest.raises(ConfigError, match="make the data with scripts/dataset --resolution 128"):
        Start.of(str(CHECKPOINTS), None).adapted(SMALL.at(64), 64)


def test_a_place_without_models_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no model; give a folder such as checkpoints"):
        Start.of(str(tmp_path), None)
    with pytest.raises(ConfigError, match=r"neither a folder nor a set in the store|no such set in the store"):
        Start.of("nothing-of-this-name", None)


def test_the_demo_need_not_be_imported_before_a_training_starts_from_it(tmp_path: Path) -> None:
    with own_store(tmp_path / "models"):
        start = Start.of("demo", None)
        assert start.adapted(SMALL, 128).coarse == load_config(CHECKPOINTS / "demo_coarse" / "config.yaml")
        with pytest.raises(ConfigError, match="no such set in the store"):
            Start.of("official", None)


def test_weights_of_the_official_form_are_started_from_and_others_of_the_fine_stage_are_told(tmp_path: Path) -> None:
    make_checkpoint([str(tmp_path)])
    with pytest.raises(ConfigError, match="makes 2 fine voxels along the side of a coarse one, and data has 4"):
        Start.of(str(tmp_path), None).adapted(SMALL.at(64), 64)
    shutil.rmtree(tmp_path / "objaverse_fine")
    start = Start.of(str(tmp_path), None)
    recipe = start.adapted(SMALL.at(64), 64)
    assert recipe.coarse == TINY["coarse"]
    unet = DenseUNet(recipe.coarse.unet)  # type: ignore[arg-type]
    assert fill(unet, start.coarse, "unet.")


def test_a_folder_with_two_sets_is_refused(tmp_path: Path) -> None:
    for name in ("demo_text", "other_text"):
        shutil.copytree(CHECKPOINTS / "demo_text", tmp_path / name)
    with pytest.raises(ConfigError, match="holds models of several sets"):
        Start.of(str(tmp_path), None)


@pytest.mark.parametrize(("resolution", "coarse", "latent"), [(64, 16, 4), (128, 32, 8), (256, 64, 16), (512, 128, 16)])
def test_a_recipe_for_any_resolution_has_stages_that_fit_together(resolution: int, coarse: int, latent: int) -> None:
    recipe = SMALL.at(resolution)
    assert recipe.coarse_resolution == coarse
    assert recipe.coarse.vae.latent_resolution == latent
    assert recipe.coarse.vae.latent_resolution * recipe.coarse.vae.factor == coarse
    assert recipe.fine.vae.latent_resolution == coarse
    assert recipe.fine.vae.latent_resolution * recipe.fine.vae.factor == resolution
