"""Jobs of one HTTP process: the store and the runner together."""

from __future__ import annotations

import asyncio
import contextlib

from api.generation.generator import Generator
from api.jobs.runner import Runner
from api.jobs.store import Store
from api.jobs.stores import store_for
from api.messages import Status
from api.settings import Settings


class Jobs:
    """What jobs need. With a store that cannot be used the service works, and only jobs are refused."""

    def __init__(self, settings: Settings, generator: Generator) -> None:
        self.settings = settings
        self.writer = generator.writer
        self.quotas = generator.quotas
        self.store: Store = store_for(settings, lambda: _bits_of(generator.monitor.status))
        self.runner = Runner(generator, self.store, settings.max_running_jobs, settings.job_retention_seconds)
        self._stopping = asyncio.Event()
        self._running = asyncio.get_running_loop().create_task(self.runner.run())

    async def stop(self) -> None:
        """Hands running jobs back, for the time after a restart or for another process."""
        self._stopping.set()
        self._running.cancel()
        await self.runner.stop()

    async def close(self) -> None:
        """Stops, and answers for no job any more."""
        await self.stop()
        await self.store.close()

    async def stops_within(self, seconds: float) -> bool:
        """Waits for so long, or until the jobs of this process stop, and says whether they do."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()


def _bits_of(status: Status) -> str:
    """What the bytes of a result depend on besides the request: where it differs, nobody goes on with a state."""
    return f"{status.arithmetic}; {status.weights}"
