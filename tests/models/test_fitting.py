"""The latent of a given shape: what it is decoded to, and that a fit may stop and go on anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import StateError
from models.fitting import ROUGH, Fit, Fitting, fitted, told
from models.loading import load_coarse, load_text
from models.runtime import Runtime
from models.shape import Voxels
from models.stages import CoarseStage
from models.strength import FIT_STEPS
from tests.support.paths import ROOT
from tests.support.tiny import coarse_stage
from training.shapes import sample, voxelize


@pytest.fixture(scope="module")
def demo() -> CoarseStage:
    checkpoints = ROOT / "checkpoints"
    text = load_text(checkpoints / "demo_text")
    return load_coarse(checkpoints / "demo_coarse", text.null, Runtime.choose("cpu", "fp32", "torch"))


def held_out(number: int) -> Voxels:
    """A shape that no model was trained on."""
    shape = voxelize(sample(number, split="heldout"))
    return Voxels(shape.coarse_ijk.numpy().astype(np.int16), shape.coarse_normal.numpy(), 1 / 32)


def corner(*, at: int = 0) -> Voxels:
    """Eight voxels."""
    ijk = (np.argwhere(np.ones((2, 2, 2))) + at).astype(np.int16)
    return Voxels(ijk, np.tile(np.float32([0, 1, 0]), (8, 1)), 1 / 16)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [0, 1])
def test_the_latent_of_a_shape_is_decoded_to_that_shape(demo: CoarseStage, number: int) -> None:
    shape = held_out(number)
    state, likeness = fitted(demo, shape)
    assert likeness > 0.9
    assert told(likeness) == ()
    state.check(demo.config)
    found = demo.decode([state])[0]
    ours, theirs = (set(map(tuple, each.ijk.tolist())) for each in (shape, found))
    assert len(ours & theirs) / len(ours | theirs) == likeness
    rows = {tuple(voxel): row for row, voxel in enumerate(found.ijk.tolist())}
    pairs = [(row, rows[voxel]) for row, voxel in enumerate(map(tuple, shape.ijk.tolist())) if voxel in rows]
    mine, other = np.array(pairs).T
    assert (shape.normal[mine] * found.normal[other]).sum(axis=1).mean() > 0.9


def test_a_fit_that_stops_after_every_step_has_the_bits_of_one_that_does_not() -> None:
    stage = coarse_stage()
    whole = Fitting(stage, corner()).advance(Fitting(stage, corner()).start(), FIT_STEPS)
    parts = Fitting(stage, corner()).start()
    while not parts.done:
        parts = Fit.from_bytes(Fitting(stage, corner()).advance(parts, 7).to_bytes())
    assert parts.step == FIT_STEPS
    assert torch.equal(parts.latent, whole.latent)
    assert torch.equal(Fitting(stage, corner()).finished(whole).x, whole.latent * stage.scale_factor)


def test_a_shape_that_the_models_hold_roughly_is_told() -> None:
    assert told(ROUGH) == ()
    (sentence,) = told(0.514)
    assert sentence.endswith("is 0.51")


def test_what_is_no_shape_of_this_grid_is_refused() -> None:
    stage = coarse_stage()
    with pytest.raises(ValueError, match="no voxel"):
        Fitting(stage, Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / 16))
    for at in (-9, 7):
        with pytest.raises(ValueError, match="outside of the grid, which is -8 to 7"):
            Fitting(stage, corner(at=at))


def test_a_fit_of_other_models_or_of_no_kind_is_refused() -> None:
    fitting = Fitting(coarse_stage(), corner())
    begun = fitting.start()
    small = replace(begun, latent=begun.latent[1:], mean=begun.mean[1:], square=begun.square[1:])
    for data in (b"", b"{}", small.to_bytes(), replace(begun, mean=begun.mean[1:]).to_bytes()):
        with pytest.raises(StateError):
            fitting.advance(Fit.from_bytes(data), 1)
