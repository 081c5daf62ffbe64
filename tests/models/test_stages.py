"""What a generation is made of: slices that can be cut anywhere, batches that change nothing, seeds that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import NumericError
from models.shape import Voxels
from models.stages import normalise_condition
from models.state import DiffusionState
from models.vae import unit_normals
from tests.support.tiny import coarse_stage, fine_stage, mixed_states, shape, text

COARSE, FINE = coarse_stage(), fine_stage()


def same(ours: DiffusionState, theirs: DiffusionState) -> bool:
    return ours.step == theirs.step and torch.equal(ours.x, theirs.x)


def test_samples_together_are_bit_identical_to_samples_alone() -> None:
    states = mixed_states()
    for together, state in zip(COARSE.denoise(states, 5), states, strict=True):
        assert same(together, COARSE.denoise([state], 5)[0])


def test_a_run_cut_into_slices_and_sent_through_bytes_is_bit_identical_to_one_in_a_piece() -> None:
    for stage, state in [
        *((COARSE, state) for state in mixed_states()),
        (FINE, FINE.start(shape(), text(3), seed=4, steps=5)),
        (FINE, FINE.start(shape(), text(3), seed=4, steps=5, scheduler="dpm++")),
    ]:
        whole = stage.denoise([state], 100)[0]
        assert whole.done
        while not state.done:
            state = DiffusionState.from_bytes(stage.denoise([state], 2)[0].to_bytes())
        assert same(state, whole)


def test_denoise_changes_no_state_that_it_was_given() -> None:
    state = COARSE.start(text(0), seed=1, steps=3)
    before = state.x.clone()
    COARSE.denoise([state], 2)
    assert state.step == 0
    assert torch.equal(state.x, before)


def test_guidance_of_exactly_one_is_the_conditional_prediction() -> None:
    state = COARSE.start(text(0), seed=1)
    plain = COARSE.predict(replace(state, guidance_scale=1.0), 500)
    null = COARSE.predict(replace(state, guidance_scale=1.0, text=COARSE.null), 500)
    guided = COARSE.predict(replace(state, guidance_scale=2.5), 500)
    torch.testing.assert_close(guided, plain + 2.5 * (plain - null), atol=1e-4, rtol=1e-4)


def test_guidance_computes_once_what_comes_before_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for layer in (COARSE.unet.encoder[1][0], COARSE.unet.out_conv):
        monkeypatch.setattr(
            layer, "forward", lambda x, *rest, run=layer.forward: (rows.append(len(x)), run(x, *rest))[1]
        )
    COARSE.predict(COARSE.start(text(0), seed=1), 500)
    assert rows == [1, 1, 1]


def test_the_seed_and_the_prompt_both_matter() -> None:
    first, other_seed, other_text = (
        COARSE.denoise([COARSE.start(text(prompt), seed=seed, steps=2)], 2)[0].x
        for prompt, seed in ((0, 1), (0, 2), (1, 1))
    )
    assert not torch.allclose(first, other_seed)
    assert not torch.allclose(first, other_text)


def test_voxels_are_sorted_with_unit_normals_and_centres_in_world_units() -> None:
    voxels = shape()
    assert len(voxels) > 0
    order = np.lexsort(voxels.ijk.T[::-1])
    assert (order == np.arange(len(voxels))).all()
    np.testing.assert_allclose(np.linalg.norm(voxels.normal, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(voxels.xyz, (voxels.ijk + 0.5) / 16)
    assert np.abs(voxels.xyz).max() < 0.5


def test_a_normal_without_direction_becomes_plus_z() -> None:
    raw = torch.tensor([[0, 0, 0], [1e-9, 0, 0], [0, -3, 4]])
    torch.testing.assert_close(unit_normals(raw), torch.tensor([[0, 0, 1], [0, 0, 1], [0, -0.6, 0.8]]))


def test_normals_for_the_fine_stage_are_settled_after_two_normalisations() -> None:
    tiny = torch.tensor([[1e-6, 0, 0], [0, 0, 0], [0, 5, 0]])
    twice = normalise_condition(tiny)
    torch.testing.assert_close(twice[0, 0], torch.tensor(1.0), atol=1e-5, rtol=0)
    assert twice[1].eq(0).all()


def test_a_fine_stage_on_one_voxel_works_and_on_none_is_refused() -> None:
    one = Voxels(np.zeros((1, 3), np.int16), np.array([[0, 0, 1]], np.float32), 1 / 16)
    assert FINE.denoise([FINE.start(one, text(0), seed=0, steps=2)], 2)[0].done
    nothing = Voxels(np.zeros((0, 3), np.int16), np.zeros((0, 3), np.float32), 1 / 16)
    with pytest.raises(ValueError, match="no voxel"):
        FINE.start(nothing, text(0), seed=0)


def test_a_shape_pruned_to_nothing_decodes_to_an_empty_result() -> None:
    stage = coarse_stage()
    torch.nn.init.constant_(stage.decoder.structure[0].out.bias, 0)
    torch.nn.init.constant_(stage.decoder.structure[0].out.weight, 0)
    assert len(stage.decode(stage.denoise([stage.start(text(0), seed=0, steps=1)], 1))[0]) == 0


def test_latents_that_are_not_finite_are_named() -> None:
    broken = replace(COARSE.start(text(0), seed=0, steps=4), x=torch.full((64, 8), float("nan")))
    with pytest.raises(NumericError, match="coarse latent is not finite at step 1"):
        COARSE.denoise([broken], 1)
