"""bfloat16 changes the last digits of a prediction and nothing else; what must be exact stays float32."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.dense_layers import DenseConv
from models.errors import ConfigError
from models.precision import choose_dtype, prepare
from models.runtime import Runtime
from models.stage import DiffusionStage
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.text import TextEmbedding
from tests.support.tiny import coarse_stage, fine_stage, text

CPU, BF16 = torch.device("cpu"), torch.bfloat16


def bf16_coarse() -> CoarseStage:
    whole = coarse_stage()
    null = TextEmbedding(whole.null)
    return CoarseStage(whole.config, whole.unet, whole.decoder, whole.scale_factor, null, Runtime(dtype=BF16))


def bf16_fine() -> FineStage:
    whole = fine_stage()
    return FineStage(whole.config, whole.unet, whole.decoder, whole.scale_factor, Runtime(dtype=BF16))


def states() -> tuple[DiffusionState, DiffusionState]:
    stage = coarse_stage()
    coarse = stage.start(text(0), seed=1, steps=4)
    return coarse, fine_stage().start(stage.decode(stage.denoise([coarse], 4))[0], text(3), seed=4, steps=5)


COARSE, FINE = states()


@pytest.mark.parametrize(
    ("half", "whole", "state"), [(bf16_coarse(), coarse_stage(), COARSE), (bf16_fine(), fine_stage(), FINE)]
)
def test_bf16_predicts_what_fp32_does_within_its_digits(
    half: DiffusionStage, whole: DiffusionStage, state: DiffusionState
) -> None:
    state = replace(state, guidance_scale=1.0)  # which multiplies differences
    ours, exact = half.predict(state, 400), whole.predict(state, 400)
    assert ours.dtype is torch.float32
    assert not torch.equal(ours, exact)
    assert float((ours - exact).norm() / exact.norm()) < 0.02


@pytest.mark.parametrize("stage", [bf16_coarse(), bf16_fine()])
def test_norms_timestep_embedding_and_decoder_stay_float32(stage: CoarseStage | FineStage) -> None:
    names = dict(stage.unet.named_parameters())
    exact = {name for name, value in names.items() if value.dtype is torch.float32}
    assert {name for name in names if "norm" in name or name.startswith("time_embedding.")} == exact
    assert all(value.dtype is torch.float32 for value in stage.decoder.parameters())


def test_layers_on_rows_equal_those_on_cubes() -> None:
    """In float64 the two ways of the dense network must agree to the last few digits."""
    unet = prepare(coarse_stage().unet, CPU, torch.float32, 1000).double()
    layers = [unet.encoder[0][0], unet.encoder[1][0].conv1, unet.encoder[3][0].skip]
    for layer in layers:
        x = torch.randn(2, layer.in_channels, 4, 4, 4, dtype=torch.float64)
        plain = layer(x)
        layer.pack()
        packed = layer(x.contiguous(memory_format=torch.channels_last_3d))
        torch.testing.assert_close(packed, plain)
        assert packed.is_contiguous(memory_format=torch.channels_last_3d)


@torch.inference_mode()
def test_a_weight_kept_in_the_order_of_onednn_serves_cubes_of_any_size() -> None:
    conv = DenseConv(32, 48, 3)
    cubes = [torch.randn(rows, 32, side, side, side) for rows, side in ((1, 8), (1, 4), (3, 8))]
    plain = [conv(cube) for cube in cubes]
    conv.fix()
    for cube, expected in zip(cubes, plain, strict=True):
        torch.testing.assert_close(conv(cube), expected)


def test_the_number_format_is_chosen_by_name() -> None:
    assert choose_dtype("auto", "cpu") is torch.float32
    assert choose_dtype("bf16", "cpu") is BF16
    with pytest.raises(ConfigError, match="auto, bf16, fp32"):
        choose_dtype("fp16", "cpu")
