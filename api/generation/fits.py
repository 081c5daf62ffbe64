"""Latents of given shapes, each looked for once, however many variants and requests want it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import blake2b

from api.generation.admission import Place
from api.generation.estimates import fit_seconds
from api.generation.sampler_client import SamplerClient
from api.messages import Fitted, Order, Status

KEPT = 16
"""Of the demo models one has 16 KB, of the official ones some hundred."""


class Fits:
    """Asks a Sampler for latents, and keeps those used last."""

    def __init__(self, sampler: SamplerClient) -> None:
        self._sampler = sampler
        self._found: OrderedDict[bytes, Fitted] = OrderedDict()
        self._locks: dict[bytes, asyncio.Lock] = {}

    async def with_latent(
        self, order: Order, status: Status, place: Place | None, told: Callable[[int], None]
    ) -> tuple[Order, tuple[str, ...]]:
        """The order with the latent of a shape that was given to vary, and what is to be told of that.

        Args:
            order: What to make; it has such a shape.
            status: Who looks for it.
            place: Among the requests, which lets others have their turn after each slice; a job has none.
            told: Called with the steps that are left.

        Raises:
            TooManyVoxels, OutOfMemory, ModelsChanged, WorkerLost: From the Sampler.
        """
        assert order.variation is not None
        steps = order.fit_steps

        async def go_on(taken: int, step: int) -> None:
            told(steps - step)
            if place is not None:
                await place.go_on(fit_seconds(taken, status.step_seconds))

        found = await self.latent_of(order.variation.coarse, status.weights, go_on)
        told(0)
        return order.with_latent(found.latent), found.warnings

    async def latent_of(self, coarse: bytes, weights: str, go_on: Callable[[int, int], Awaitable[None]]) -> Fitted:
        """The latent of packed coarse voxels.

        Who wants one that is being looked for waits; should that be cancelled, the next one looks for it.

        Args:
            coarse: The voxels.
            weights: `Status.weights` of the models that look for it.
            go_on: Awaited after each slice, with the steps of it, and those that have been taken in all.

        Raises:
            TooManyVoxels, OutOfMemory, ModelsChanged, WorkerLost: From the Sampler.
        """
        key = blake2b(weights.encode() + b"\n" + coarse, digest_size=16).digest()
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if key not in self._found:
                    self._found[key] = await self._look_for(coarse, go_on)
        finally:
            if not lock.locked() and self._locks.get(key) is lock:
                del self._locks[key]
        found = self._found[key]
        self._found.move_to_end(key)
        while len(self._found) > KEPT:
            self._found.popitem(last=False)
        return found

    async def _look_for(self, coarse: bytes, go_on: Callable[[int, int], Awaitable[None]]) -> Fitted:
        fitted = Fitted()
        while not fitted.latent:
            before, fitted = fitted.step, await self._sampler.fit(coarse, fitted.fit)
            await go_on(fitted.step - before, fitted.step)
        return fitted
