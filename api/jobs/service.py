"""Jobs of one HTTP process: the store and the runner together."""

from __future__ import annotations

import asyncio
import contextlib

from api.generation.generator import Generator
from api.jobs.runner import Runner
from api.jobs.sender import Sender
from api.jobs.store import Store
from api.jobs.stores import store_for
from api.keys import key_file
from api.settings import Settings
from api.webhooks import Hosts, Webhooks


class Jobs:
    """What jobs need. With a store that cannot be used the service works, and only jobs are refused."""

    def __init__(self, settings: Settings, generator: Generator) -> None:
        self.settings = settings
        self.writer = generator.writer
        self.quotas = generator.quotas
        self.store: Store = store_for(settings, lambda: generator.monitor.status.bits)
        self.runner = Runner(generator, self.store, settings.max_running_jobs, settings.job_retention_seconds)
        self.webhooks = webhooks_of(settings)
        self._stopping = asyncio.Event()
        work = [self.runner.run()]
        if self.webhooks.possible:
            work.append(Sender(self.store, self.webhooks, settings.root_path).run())
        self._running = [asyncio.get_running_loop().create_task(each) for each in work]

    async def stop(self) -> None:
        """Hands running jobs back, for the time after a restart or for another process."""
        self._stopping.set()
        for task in self._running:
            task.cancel()
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


def webhooks_of(settings: Settings) -> Webhooks:
    """Webhooks as the settings allow them."""
    secret = None if settings.webhook_secret is None else settings.webhook_secret.get_secret_value()
    file = None if settings.api_keys_file is None else key_file(settings.api_keys_file)
    return Webhooks(Hosts(settings.webhook_hosts), secret, file)
