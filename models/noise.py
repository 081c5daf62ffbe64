"""The noise of a sample, the same on every machine, backend and batch.

For (seed, stage, step) a BLAKE2b digest seeds a CPU generator, which draws one array [voxels, channels] in ascending
voxel order. The noise of step -1 is the initial latent. So a sample can be resumed at any step by anybody, and what
else runs beside it cannot change a bit of it.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

import torch
from torch import Tensor

INITIAL = -1


def noise(seed: int, stage: str, step: int, voxels: int, channels: int) -> Tensor:
    """Standard normal noise, float32 [voxels, channels] on the CPU.

    seed: any integer, taken modulo 2 ** 64, so that a negative i64 and its u64 reading mean the same. step: `INITIAL`
    or the index of a denoising step.
    """
    message = struct.pack("<Qq", seed % 2**64, step) + stage.encode()
    key = int.from_bytes(blake2b(message, digest_size=8, person=b"xcube-noise").digest(), "little")
    generator = torch.Generator().manual_seed(key)
    # torch.randn is not prefix-stable: the whole array has to be drawn at once.
    return torch.randn(voxels, channels, generator=generator)
