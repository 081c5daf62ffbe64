"""The latent of a given shape is looked for once, by slices, and no longer than somebody wants it."""

from __future__ import annotations

import asyncio

import pytest

from api.generation.fits import KEPT, Fits
from api.generation.sampler_client import SamplerClient
from api.messages import Fitted

SLICES = 3


class Counting(SamplerClient):
    """A Sampler that takes SLICES calls to find a latent; `hold` stops it in the midst."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def fit(self, coarse: bytes, fit: bytes = b"") -> Fitted:
        self.calls.append(coarse)
        await self.hold.wait()
        step = int(fit or b"0") + 1
        return Fitted(fit=b"%d" % step, step=step, latent=b"found " + coarse if step == SLICES else b"")


async def go_on(taken: int, step: int) -> None:
    assert taken == 1
    assert 1 <= step <= SLICES


def test_those_who_want_the_same_latent_share_one_search() -> None:
    async def main() -> None:
        sampler = Counting()
        fits = Fits(sampler)
        found = await asyncio.gather(*(fits.latent_of(b"a", "w", go_on) for _ in range(4)))
        assert {each.latent for each in found} == {b"found a"}
        assert len(sampler.calls) == SLICES
        await fits.latent_of(b"a", "w", go_on)
        assert len(sampler.calls) == SLICES
        for coarse, weights in ((b"b", "w"), (b"a", "other")):
            await fits.latent_of(coarse, weights, go_on)
        assert len(sampler.calls) == 3 * SLICES

    asyncio.run(main())


def test_a_search_ends_with_its_request_and_another_one_takes_its_place() -> None:
    async def main() -> None:
        sampler = Counting()
        sampler.hold.clear()
        fits = Fits(sampler)
        first, second = (asyncio.create_task(fits.latent_of(b"a", "w", go_on)) for _ in range(2))
        while not sampler.calls:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        sampler.hold.set()
        assert (await second).latent == b"found a"
        assert len(sampler.calls) == 1 + SLICES

    asyncio.run(main())


def test_no_more_latents_are_kept_than_that() -> None:
    async def main() -> None:
        sampler = Counting()
        fits = Fits(sampler)
        for number in range(KEPT + 1):
            await fits.latent_of(b"%d" % number, "w", go_on)
        before = len(sampler.calls)
        await fits.latent_of(b"%d" % KEPT, "w", go_on)
        assert len(sampler.calls) == before
        await fits.latent_of(b"0", "w", go_on)
        assert len(sampler.calls) == before + SLICES

    asyncio.run(main())
