"""What the HTTP process knows about the Sampler: asked in the background, answered at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from api.errors import InvalidRequest, ModelsUnavailable, NotFound, StillLoading
from api.generation.sampler_client import SamplerClient
from api.messages import MODELS, ModelStatus, Status
from api.schemas import LOADING, Health
from api.telemetry import metrics
from models.presets import NO_TURBO, Network

_PERIOD = {"loading": 0.2, "ready": 1.0, "error": 1.0}
PATIENCE = 5.0
"""Seconds without an answer after which a Sampler that was ready counts as restarting."""
LOOK = 2.0
"""Seconds that a request waits at most for a Sampler to say that it is ready by now."""
_LOOK_ONCE = 0.5
"""Seconds after which it asks anew: another Sampler may answer then."""
_PAUSE = 0.05
RETRY_LOADING = 5.0


class Monitor:
    """Keeps the last status of the Sampler, so that no health check ever waits for it.

    Of several Samplers any may answer: the service is ready as long as one of them is.

    Args:
        sampler: Whose status it is.
        changed: Called with the health whenever its status or its error has changed.
    """

    def __init__(self, sampler: SamplerClient, changed: Callable[[Health], None] = lambda _: None) -> None:
        self._sampler = sampler
        self._changed = changed
        self._answers: dict[str, _Answer] = {}
        self._seen = time.monotonic()
        self._look: asyncio.Task[None] | None = None
        self.status = Status(health=LOADING)

    @property
    def health(self) -> Health:
        """The health to show now."""
        return self.status.health

    def check_ready(self) -> None:
        """Lets pass what needs the models.

        Raises:
            StillLoading: The models are not ready yet.
            ModelsUnavailable: They failed to load.
        """
        if self.health.status == "loading":
            raise _still_loading()
        if self.health.status == "error":
            raise ModelsUnavailable(self.health.error or "The models failed to load: see the service's log.")

    def check_default(self) -> None:
        """Lets pass what needs every model that a request without options needs.

        Raises:
            StillLoading: The models are not ready yet.
            ModelsUnavailable: They failed to load, or the fine model cannot be used.
        """
        self.check_ready()
        if self.status.fine_fault:
            raise ModelsUnavailable(self.status.fine_fault)

    def check_network(self, network: Network) -> None:
        """Lets pass what needs these denoisers; while nobody knows which there are, any.

        Raises:
            ModelsUnavailable: There are some, which cannot be used.
            InvalidRequest: There are none.
        """
        if network == "standard" or not self.status.models or network in self.health.presets:
            return
        if self.status.turbo_fault:
            raise ModelsUnavailable(self.status.turbo_fault)
        raise InvalidRequest(f"{NO_TURBO}.")

    def check_known(self, model: str) -> None:
        """Lets pass the name of a model that this service has or should have; while the models load, of any kind.

        Raises:
            NotFound: There is no such model.
        """
        if model not in MODELS or (self.status.models and model not in self.status.models):
            known = ", ".join(self.status.models or MODELS)
            raise NotFound(f"This service has no model of this name: ask for one of {known}.")

    def check_model(self, model: str) -> None:
        """Lets pass what needs one model.

        Args:
            model: "text", "coarse" or "fine".

        Raises:
            NotFound: There is no such model.
            StillLoading: The models are not ready yet.
            ModelsUnavailable: It cannot be used, or another one without which it cannot be used; the text names the
                file that is wrong.
        """
        self.check_known(model)
        if self.health.status == "loading":
            raise _still_loading()
        found = self.status.models.get(model, ModelStatus())
        if found.fault:
            raise ModelsUnavailable(found.fault)
        if not found.usable or (self.health.status == "error" and model != "text"):
            raise ModelsUnavailable(self.health.error or f"The {model} model is not loaded: see the service's log.")

    async def run(self) -> None:
        """Asks again and again; ends when cancelled."""
        told = self.health.status, self.health.error
        while True:
            await self.refresh()
            now = self.health.status, self.health.error
            if now != told:
                told = now
                self._changed(self.health)
            metrics.ready(self.health.status == "ready")
            said = (each.status.health.status for each in self._answers.values())
            await asyncio.sleep(min(_PERIOD[status] for status in (self.health.status, *said)))

    async def look_again(self) -> None:
        """Asks at once while the models load, for a request: another HTTP process may have said that they are ready.

        And again for a moment, since the Sampler that answers may be one of several that is not ready yet.
        """
        if self.health.status == "loading":
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self._look_until_ready())
            await asyncio.wait({self._look}, timeout=LOOK)

    async def _look_until_ready(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                while self.health.status == "loading":
                    await self.refresh(_LOOK_ONCE)
                    await asyncio.sleep(_PAUSE)

    async def refresh(self, patience: float = PATIENCE) -> None:
        """Asks once. A Sampler that does not answer is busy at first, and counts as loading after a while.

        Args:
            patience: Seconds to wait for the answer.
        """
        try:
            async with asyncio.timeout(patience):
                status = await self._sampler.status()
        except Exception:  # whatever went wrong on the way: no answer is what counts
            if time.monotonic() - self._seen > PATIENCE:
                self.status = self.status.model_copy(update={"health": LOADING})
            return
        self._seen = now = time.monotonic()
        self._answers[status.sampler] = _Answer(now, status)
        self._answers = {name: each for name, each in self._answers.items() if now - each.at <= PATIENCE}
        ready = [each for each in self._answers.values() if each.status.health.status == "ready"]
        self.status = max(ready, key=lambda each: each.at).status if ready else status


@dataclass(frozen=True)
class _Answer:
    """What a Sampler said, and when, as `time.monotonic` tells it."""

    at: float
    status: Status


def _still_loading() -> StillLoading:
    return StillLoading("The models are still loading: try again in a few seconds.", retry_after=RETRY_LOADING)
