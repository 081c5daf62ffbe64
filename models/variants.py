"""Several shapes of one prompt: which seeds they have."""

from __future__ import annotations

_RANGE = 2**64


def variant_seeds(seed: int, count: int) -> list[int]:
    """Seeds of the variants of a request: its own seed, then the following integers.

    Noise depends on a hash of the seed, so neighbours are as different as any two. Beyond 2 ** 64 - 1 it goes on at 0,
    which is the same modulo 2 ** 64.
    """
    return [seed + number if seed + number < _RANGE else seed + number - _RANGE for number in range(count)]
