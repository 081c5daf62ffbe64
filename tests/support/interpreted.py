"""The fused kernels in whole steps on a CPU, under Triton's interpreter (TRITON_INTERPRET=1), in float32.

A program of its own, because Triton decides at import whether it interprets. Prints what went wrong, if anything.
"""

from __future__ import annotations

import numpy as np
import torch

from models import graphed_fine, kernels
from models.noise import noise
from models.shape import Voxels
from models.stages import CoarseStage, FineStage
from models.state import DiffusionState
from models.vae import unit_normals
from tests.support.tiny import coarse_stage, fine_stage, text


def shape(size: int, seed: int) -> Voxels:
    """So many random voxels of a cube of 16."""
    cells = np.sort(np.random.default_rng(seed).permutation(4096)[:size])
    ijk = np.stack((cells // 256, cells // 16 % 16, cells % 16), axis=1).astype(np.int16) - 8
    return Voxels(ijk, noise(seed, "fine", 0, size, 3).numpy(), 1 / 16)


def on_kernels(stage: CoarseStage | FineStage) -> None:
    stage.run_together()
    stage.unet.tabulate(1000)


def different(ours: DiffusionState, theirs: DiffusionState) -> float:
    return float((ours.x - theirs.x).norm() / theirs.x.norm())


def main() -> None:
    plain_coarse, plain_fine = coarse_stage(), fine_stage()
    states = [plain_coarse.start(text(seed, 3 + seed), seed=seed, steps=3) for seed in (1, 2)]
    large, small, other = (plain_fine.start(shape(size, size), text(3), seed=4, steps=2) for size in (30, 20, 25))
    plain = [*plain_coarse.denoise(states, 2), *plain_fine.denoise([large, small], 2)]

    graphed_fine.FINE_TOGETHER = 3  # an empty place takes an interpreter time, too
    kernels.usable = lambda kind, x: not torch.is_grad_enabled()  # type: ignore[assignment]
    coarse, fine = coarse_stage(), fine_stage()
    on_kernels(coarse)
    on_kernels(fine)
    fused = [*coarse.denoise(states, 2), *fine.denoise([large, small], 2)]
    for ours, theirs in zip(fused, plain, strict=True):
        if not (error := different(ours, theirs)) < 1e-4:
            print(f"{ours.stage}: kernels are off by {error:.2g}")
    slots = len(fine.graphed[0].slots)
    if slots != 1:
        print(f"two shapes of about a size have {slots} places in place of one")
    fine.denoise([other], 2)
    fine.denoise([large, small, other], 1)
    for state, before in zip((small, large), (fused[3], fused[2]), strict=True):
        if not torch.equal(fine.denoise([state], 2)[0].x, before.x):
            print(f"a fine sample of {len(state.x)} voxels has other bits alone")
    for ours, theirs in zip(fine.denoise([other, large], 2)[1:], fused[2:3], strict=True):
        if not torch.equal(ours.x, theirs.x):
            print("a fine sample has other bits in another batch")
    compare_decoding(coarse, plain_coarse, plain[:2])
    compare_decoding(fine, plain_fine, plain[2:])


def compare_decoding(
    stage: CoarseStage | FineStage, plain: CoarseStage | FineStage, states: list[DiffusionState]
) -> None:
    """Decoding in fixed memory beside the plain way; the first state once more, when others have used the memory."""
    states = [*states, states[0]]
    with torch.inference_mode():
        theirs = plain.decode_raw(states)
    decoded = stage.decode(states)
    for ours, other in zip(decoded, theirs, strict=True):
        if not np.array_equal(ours.ijk, other.grid.ijk.numpy()):
            print(f"{stage.stage}: decoding in fixed memory gives {len(ours)} voxels in place of {len(other.grid)}")
        elif not np.allclose(ours.normal, unit_normals(other.normals), atol=1e-3):
            print(f"{stage.stage}: decoding in fixed memory gives other normals")
    if not np.array_equal(decoded[0].normal, decoded[-1].normal):
        print(f"{stage.stage}: decoding the same again gives other bits")


if __name__ == "__main__":
    main()
