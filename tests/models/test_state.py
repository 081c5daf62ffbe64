"""A state in bytes is the state, and anything else in bytes is refused with a sentence."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.errors import StateError
from models.state import STATE_VERSION, DiffusionState
from tests.support.tiny import coarse_stage, fine_stage, shape, text

COARSE = DiffusionState("coarse", -(2**63), 100, 3, "ddim", 7.5, torch.randn(8, 8), torch.randn(5, 16))
FINE = DiffusionState(
    "fine", 2**64 - 1, 20, 20, "dpm++", 1.0, torch.randn(3, 8), torch.randn(2, 16),
    torch.tensor([[-64, 0, 63], [0, 0, 0], [1, 2, 3]], dtype=torch.int16), torch.randn(3, 3), torch.randn(3, 8),
    "xcube-fine:1", (0.25, 0.5),
)  # fmt: skip


@pytest.mark.parametrize("state", [COARSE, FINE])
def test_a_state_survives_bytes_bit_for_bit(state: DiffusionState) -> None:
    back = DiffusionState.from_bytes(state.to_bytes())
    assert back.done == state.done
    for name in ("stage", "seed", "steps", "step", "scheduler", "guidance_scale", "weights", "guidance_interval"):
        assert getattr(back, name) == getattr(state, name)
    for name in ("x", "text", "ijk", "normal", "previous"):
        ours, theirs = getattr(back, name), getattr(state, name)
        assert (ours is None) == (theirs is None)
        assert ours is None or (torch.equal(ours, theirs) and ours.dtype == theirs.dtype)


@pytest.mark.parametrize("data", [b"", b"garbage", COARSE.to_bytes()[:-40], struct.pack("<Q", 2) + b"{}"])
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="start the generation again"):
        DiffusionState.from_bytes(data)


def test_a_state_of_another_version_is_refused_by_its_number() -> None:
    data = COARSE.to_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    version = f'"version": {STATE_VERSION}'
    header["__metadata__"]["state"] = header["__metadata__"]["state"].replace(version, '"version": 9')
    changed = json.dumps(header).encode()
    with pytest.raises(StateError, match="version 9"):
        DiffusionState.from_bytes(struct.pack("<Q", len(changed)) + changed + data[8 + size :])


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 5, "step": 6}, {"step": -1}, {"steps": True}, {"seed": 1.5}, {"stage": "other"},
        {"stage": "coarse", "x": FINE.x[0]},
        {"guidance_scale": float("nan")}, {"guidance_interval": (0.5, 0.2)}, {"guidance_interval": (0.0, 1.1)},
        {"guidance_interval": (0.0, float("nan"))}, {"guidance_interval": (0.0, 0.5, 1.0)},
        {"x": FINE.x.half()}, {"x": FINE.x[:0]},
        {"ijk": torch.zeros(2, 3, dtype=torch.int16)}, {"ijk": None},
        {"normal": torch.randn(3, 8)}, {"text": FINE.text[0]}, {"previous": FINE.x[:, :2]},
    ],
)  # fmt: skip
def test_a_state_whose_parts_do_not_go_together_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="start the generation again"):
        DiffusionState.from_bytes(replace(FINE, **wrong).to_bytes())


@pytest.mark.parametrize(
    "other",
    [{"x": torch.randn(8, 8)}, {"text": torch.randn(4, 5)}, {"steps": 1001}, {"scheduler": "other"}],
)  # fmt: skip
def test_a_state_of_other_sizes_than_the_stage_s_is_refused(other: dict[str, Any]) -> None:
    stage = coarse_stage()
    state = stage.start(text(0), seed=1, steps=7)
    state.check(stage.config)
    with pytest.raises(StateError, match="does not fit the coarse model"):
        replace(state, **other).check(stage.config)


def test_latents_outside_of_the_stage_s_cube_are_refused() -> None:
    stage = fine_stage()
    state = stage.start(shape(), text(0), seed=1)
    state.check(stage.config)
    assert state.ijk is not None
    with pytest.raises(StateError, match="does not fit the fine model"):
        replace(state, ijk=state.ijk + 2000).check(stage.config)
