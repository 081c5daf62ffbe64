"""Two threads on one GPU at a time: no bit changes, whatever the other does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from models.runtime import Runtime
from models.shape import Voxels
from models.stages import CoarseStage, FineStage
from models.text import TextEmbedding
from tests.support.tiny import coarse_stage, fine_stage, text

ROUNDS = 5


def shape(size: int) -> Voxels:
    cells = np.sort(np.random.default_rng(0).permutation(4096)[:size])
    ijk = np.stack((cells // 256, cells // 16 % 16, cells % 16), axis=1).astype(np.int16) - 8
    return Voxels(ijk, np.tile(np.array([0, 0, 1], dtype=np.float32), (size, 1)), 1 / 16)


def test_steps_recording_and_decoding_at_once_give_the_bits_that_they_give_alone() -> None:
    cpu, cpu_fine, runtime = coarse_stage(), fine_stage(), Runtime(torch.device("cuda"), torch.bfloat16, lanes=2)
    coarse = CoarseStage(cpu.config, cpu.unet, cpu.decoder, cpu.scale_factor, TextEmbedding(cpu.null), runtime)
    fine = FineStage(cpu_fine.config, cpu_fine.unet, cpu_fine.decoder, cpu_fine.scale_factor, runtime)
    states = [coarse.start(text(seed), seed=seed, steps=6) for seed in range(6)]
    refined = [fine.start(shape(300 + 90 * seed), text(seed), seed=seed, steps=6) for seed in range(6)]
    alone = [coarse.denoise([state], 6)[0].x for state in states]
    alone_fine = [fine.denoise([state], 6)[0] for state in refined]
    shapes = fine.decode(alone_fine)
    for _ in range(ROUNDS):
        coarse.release()
        fine.release()  # so that one lane records while the other computes
        with ThreadPoolExecutor(5) as threads:
            first = threads.map(lambda state: coarse.denoise([state], 6)[0].x, states)
            second = threads.map(lambda state: fine.denoise([state], 6)[0].x, refined)
            third = threads.map(lambda state: fine.decode([state])[0], alone_fine)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, alone, strict=True))
        assert all(torch.equal(ours, theirs.x) for ours, theirs in zip(second, alone_fine, strict=True))
        for ours, theirs in zip(third, shapes, strict=True):
            assert np.array_equal(ours.ijk, theirs.ijk)
            assert np.array_equal(ours.normal, theirs.normal)
