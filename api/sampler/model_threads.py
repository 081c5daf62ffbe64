"""The threads of a Sampler process that use its models, and the way for async code to hand them work."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from api.batching import Batcher
from api.errors import ModelsUnavailable
from api.messages import Progress, Slice, Status
from api.schemas import LOADING
from api.settings import Settings
from models.waking import wake_gpu

if TYPE_CHECKING:
    from api.sampler.engine import Engine

log = logging.getLogger("xcube.worker")
T = TypeVar("T")


class ModelThreads:
    """Loads the models in a thread at once, then runs what it is given there, one after the other.

    Where a GPU has several lanes, denoising steps run in a thread for each of them instead. The import of torch happens
    in the thread as well, so the process answers from its first moment on.

    Args:
        settings: Those of the service.
        number: Counts the Sampler processes from 0.
    """

    def __init__(self, settings: Settings, number: int = 0) -> None:
        self._name = f"{socket.gethostname()}/{number}"
        self._engine: Engine | None = None
        self._failure: str | None = None
        self._pending = 0
        self._last = time.monotonic()
        self.loading = True
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="models")
        self._lanes: ThreadPoolExecutor | None = None
        self._batcher = Batcher(self._denoise, even=False)  # those who sent them have divided them already
        self._thread.submit(self._start, settings, number)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last work ended; 0 while there is some."""
        return 0.0 if self._pending else time.monotonic() - self._last

    def status(self) -> Status:
        """Health and measured step times, at once."""
        if self._engine is not None:
            return self._engine.status().model_copy(update={"sampler": self._name})
        update = {"status": "error", "error": self._failure} if self._failure else {}
        return Status(health=LOADING.model_copy(update=update), sampler=self._name)

    async def run(self, work: Callable[[Engine], T]) -> T:
        """The result of some work on the engine that is not `denoise`."""
        return await self._in(self._thread, work)

    async def denoise(self, items: Sequence[Slice]) -> list[Progress]:
        """Every state a slice further; states that wait at the same time share batches, whoever sent them."""
        return await asyncio.gather(*(self._batcher.denoise(item) for item in items))

    async def _denoise(self, items: list[Slice]) -> list[Progress]:
        return await self._in(self._lanes or self._thread, lambda engine: engine.denoise(items))

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[Engine], T]) -> T:
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, self._work, work)
        finally:
            self._pending -= 1
            self._last = time.monotonic()

    def _work(self, work: Callable[[Engine], T]) -> T:
        if self._engine is None:
            raise ModelsUnavailable(self._failure or "The models are not loaded.")
        return work(self._engine)

    def _start(self, settings: Settings, number: int) -> None:
        try:
            self._load(settings, number)
        finally:
            self.loading = False

    def _load(self, settings: Settings, number: int) -> None:
        log.info("loading PyTorch")
        try:
            wake_gpu(settings.device, number)
            from api.sampler.engine import Engine

            self._engine = Engine(settings, number)
            self._engine.load()
        except Exception as error:
            self._failure = f"The models cannot be imported ({error}): install the project's dependencies again."
            log.exception("the models cannot be imported")
            return
        if (lanes := self._engine.status().lanes) > 1:
            self._lanes = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
            self._batcher.concurrent = lanes
