"""Parity of number formats: the same prompts and seeds on the demo models, in a format and in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cli.parity.golden import Case, Check
from models.grids import Grid
from models.loading import load_coarse, load_fine, load_text
from models.runtime import Runtime
from models.shape import Voxels
from models.stage import DiffusionStage
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.text import TextEmbedding

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
PROMPTS = ("a chair", "a round table", "a tall lamp", "a mug", "a bowl", "a sphere", "a sofa", "a vase")
STEPS = 100
LEAST_IOU, LEAST_IOU_OF_A_SHAPE = 0.99, 0.95
"""Over all voxels of a stage's shapes together, and for each shape: guidance multiplies rounding by up to 1 + 2 s."""


def compare_formats(dtype: torch.dtype, device: torch.device, grids: type[Grid]) -> Case:
    """The overlap of coarse shapes, and of fine shapes made from the same coarse one, prompt by prompt.

    Raises:
        CheckpointError: There are no demo models.
        ConfigError: The demo models cannot be used.
    """
    case = Case(f"{dtype} and float32".replace("torch.", ""), {}, {}, CHECKPOINTS, device, grids)
    text = load_text(CHECKPOINTS / "demo_text")
    runtimes = [Runtime(device, each, grids) for each in (torch.float32, dtype)]
    exact, other = (load_coarse(CHECKPOINTS / "demo_coarse", text.null, runtime) for runtime in runtimes)
    exact_fine, other_fine = (load_fine(CHECKPOINTS / "demo_fine", runtime) for runtime in runtimes)
    coarse, fine = np.zeros(2), np.zeros(2)
    for seed, prompt in enumerate(PROMPTS):
        embedding = text.encode([prompt])[0]
        shape = _coarse(exact, embedding, seed)
        coarse += _compare(case, f"coarse, {prompt}", _coarse(other, embedding, seed), shape)
        if len(shape):
            shapes = [_fine(stage, shape, embedding, seed) for stage in (other_fine, exact_fine)]
            fine += _compare(case, f"fine, {prompt}", *shapes)
    for name, (common, union) in (("coarse", coarse), ("fine", fine)):
        quantity = f"{name}, all {len(PROMPTS)} shapes"
        case.checks.append(Check(quantity, 0.0, 0.0, common / union if union else 0.0, LEAST_IOU))
    return case


def _coarse(stage: CoarseStage, text: TextEmbedding, seed: int) -> Voxels:
    return _finish(stage, stage.start(text, seed=seed, steps=STEPS))


def _fine(stage: FineStage, shape: Voxels, text: TextEmbedding, seed: int) -> Voxels:
    return _finish(stage, stage.start(shape, text, seed=seed, steps=STEPS))


def _finish(stage: DiffusionStage, state: DiffusionState) -> Voxels:
    return stage.decode(stage.denoise([state], STEPS))[0]


def _compare(case: Case, quantity: str, ours: Voxels, exact: Voxels) -> tuple[int, int]:
    """Records intersection over union, and returns both; normals follow the latents, which may differ."""
    common = len(np.intersect1d(_keys(ours), _keys(exact)))
    union = len(ours) + len(exact) - common
    iou = common / union if union else 1.0
    case.checks.append(Check(f"{quantity} ({len(exact)} voxels)", 0.0, 0.0, iou, LEAST_IOU_OF_A_SHAPE))
    return common, union


def _keys(voxels: Voxels) -> NDArray[np.int64]:
    i, j, k = voxels.ijk.astype(np.int64).T
    keys: NDArray[np.int64] = (i << 32) + (j << 16) + k
    return keys
