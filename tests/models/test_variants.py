"""Seeds of variants: the request's own, then its neighbours, none beyond 64 bits."""

from __future__ import annotations

import pytest

from models.variants import variant_seeds


@pytest.mark.parametrize(
    ("seed", "seeds"),
    [
        (7, [7, 8, 9]),
        (-2, [-2, -1, 0]),
        (2**63 - 1, [2**63 - 1, 2**63, 2**63 + 1]),
        (2**64 - 2, [2**64 - 2, 2**64 - 1, 0]),
    ],
)
def test_the_first_variant_has_the_given_seed_and_the_others_follow(seed: int, seeds: list[int]) -> None:
    assert variant_seeds(seed, 3) == seeds
    assert variant_seeds(seed, 1) == [seed]
    assert variant_seeds(seed, 2) == seeds[:2], "fewer of them are the same ones"
