"""What the HTTP process knows about the Sampler: asked in the background, answered at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from api.errors import ModelsUnavailable, NotFound, StillLoading
from api.generation.sampler_client import SamplerClient
from api.messages import MODELS, ModelStatus, Status
from api.schemas import LOADING, Health
from api.telemetry import metrics

_PERIOD = {"loading": 0.2, "ready": 1.0, "error": 1.0}
PATIENCE = 5.0
"""Seconds without an answer after which a Sampler that was ready counts as restarting."""
RETRY_LOADING = 5.0


class Monitor:
    """Keeps the last status of the Sampler, so that no health check ever waits for it.

    Args:
        sampler: Whose status it is.
        changed: Called with the health whenever its status or its error has changed.
    """

    def __init__(self, sampler: SamplerClient, changed: Callable[[Health], None] = lambda _: None) -> None:
        self._sampler = sampler
        self._changed = changed
        self._seen = time.monotonic()
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
            await asyncio.sleep(_PERIOD[self.health.status])

    async def refresh(self) -> None:
        """Asks once. A Sampler that does not answer is busy at first, and counts as loading after a while."""
        try:
            async with asyncio.timeout(PATIENCE):
                self.status = await self._sampler.status()
            self._seen = time.monotonic()
        except Exception:  # whatever went wrong on the way: no answer is what counts
            if time.monotonic() - self._seen > PATIENCE:
                self.status = self.status.model_copy(update={"health": LOADING})


def _still_loading() -> StillLoading:
    return StillLoading("The models are still loading: try again in a few seconds.", retry_after=RETRY_LOADING)
