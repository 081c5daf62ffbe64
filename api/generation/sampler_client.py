"""The Sampler as the HTTP process uses it: calls that outlive the death of a Sampler process.

A call carries the whole state of a sample, so any Sampler process can take it, and one that was lost is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import aiohttp
from bentoml.exceptions import BentoMLException, ServiceUnavailable

from api.batching import Batcher
from api.errors import WorkerLost
from api.messages import Decoded, Finished, Fitted, Order, Progress, Recognised, Slice, Status, Unfitted

T = TypeVar("T")
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
FAULTS_ACCEPTED = 3
LOSSES_ACCEPTED = 10


class SamplerService(Protocol):
    """What the Sampler service offers."""

    async def status(self) -> Status:
        """Health and measured step times."""

    async def recognise(self, prompt: str) -> Recognised:
        """What is known of a prompt."""

    async def fit(self, item: Unfitted) -> Fitted:
        """A given shape, a slice nearer to its latent."""

    async def begin(self, order: Order) -> Progress:
        """The first state of a generation."""

    async def denoise(self, items: list[Slice]) -> list[Progress]:
        """Every state, a slice further."""

    async def decode(self, item: Finished) -> Decoded:
        """Voxels of a finished state."""


class SamplerClient:
    """Calls to a Sampler, each sent again until it is answered; callers set a deadline by cancelling.

    Args:
        sampler: BentoML's proxy of the service.
        samplers: Sampler processes that share the calls of `denoise`. As many calls are under way at a time as these
            have lanes.
    """

    def __init__(self, sampler: SamplerService, samplers: int = 1) -> None:
        self._sampler = sampler
        self._samplers, self._lanes = samplers, 1
        self._batcher = Batcher(lambda items: _persist(lambda: sampler.denoise(items=items)), samplers)

    def share_among(self, samplers: int) -> None:
        """Tells how many Sampler processes share the calls of `denoise` from now on."""
        self._samplers = samplers
        self._divide()

    async def status(self) -> Status:
        """Health and measured step times; asked once, without a second try."""
        status = await self._sampler.status()
        self._lanes = status.lanes
        self._divide()
        return status

    async def recognise(self, prompt: str) -> Recognised:
        """What is known of a prompt. Raises what the Sampler found wrong."""
        recognised = await _persist(lambda: self._sampler.recognise(prompt=prompt))
        recognised.check()
        return recognised

    async def fit(self, coarse: bytes, fit: bytes = b"") -> Fitted:
        """A given shape, a slice nearer to its latent. Raises what the Sampler found wrong."""
        fitted = await _persist(lambda: self._sampler.fit(item=Unfitted(coarse=coarse, fit=fit)))
        fitted.check()
        return fitted

    async def begin(self, order: Order) -> Progress:
        """The first state of a generation. Raises what the Sampler found wrong."""
        progress = await _persist(lambda: self._sampler.begin(order=order))
        progress.check()
        return progress

    async def denoise(self, progress: Progress) -> Progress:
        """A state, a slice further. Raises what the Sampler found wrong with this state."""
        further = await self._batcher.denoise(Slice.after(progress))
        further.check()
        return further

    async def decode(self, state: bytes, fine_steps: int = 0) -> Decoded:
        """Voxels of a finished state. Raises what the Sampler found wrong."""
        decoded = await _persist(lambda: self._sampler.decode(item=Finished(state=state, fine_steps=fine_steps)))
        decoded.check()
        return decoded

    def _divide(self) -> None:
        self._batcher.concurrent = self._samplers * self._lanes


async def _persist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a call with growing pauses while no process answers it.

    Raises:
        WorkerLost: processes answered, but with a fault of their own, several times; or one after the other died of it.
    """
    pause = FIRST_PAUSE
    faults = losses = 0
    while True:
        try:
            return await call()
        except aiohttp.ServerDisconnectedError:
            losses += 1
            if losses > LOSSES_ACCEPTED:
                raise WorkerLost("The Sampler process died on this request: try again, or try another seed.") from None
        except (aiohttp.ClientError, ConnectionError, TimeoutError, ServiceUnavailable):
            pass
        except BentoMLException:
            faults += 1
            if faults >= FAULTS_ACCEPTED:
                raise WorkerLost(
                    "The Sampler process failed on this request: try again, or try another seed."
                ) from None
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
