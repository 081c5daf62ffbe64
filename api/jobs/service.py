"""Jobs of one HTTP process: database, files and runner together, or the reason why there are none."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from api.errors import JobsUnavailable
from api.generation.generator import Generator
from api.jobs.files import Files
from api.jobs.records import Records
from api.jobs.runner import Runner
from api.settings import Settings

log = logging.getLogger("xcube.jobs")


class Jobs:
    """What jobs need. Without a folder to write to the service works, and only jobs are refused."""

    def __init__(self, settings: Settings, generator: Generator) -> None:
        self.settings = settings
        self.writer = generator.writer
        self._running: asyncio.Task[None] | None = None
        try:
            settings.jobs_dir.mkdir(parents=True, exist_ok=True)
            self._records = Records(settings.jobs_dir / "jobs.sqlite")
        except (OSError, sqlite3.Error) as error:
            log.warning("jobs are switched off: %s cannot be used (%s)", settings.jobs_dir, error)
            return
        self.files = Files(settings.jobs_dir, lambda: generator.monitor.status.arithmetic)
        self.runner = Runner(
            generator, self._records, self.files, settings.max_running_jobs, settings.job_retention_seconds
        )
        self._running = asyncio.get_running_loop().create_task(self.runner.run())

    @property
    def records(self) -> Records:
        """The database.

        Raises:
            JobsUnavailable: It cannot be used.
        """
        if self._running is None:
            raise JobsUnavailable("Jobs need a folder to write to: set XCUBE_JOBS_DIR to one and start again.")
        return self._records

    async def stop(self) -> None:
        """Hands running jobs back, for the time after a restart or for another process."""
        if self._running is not None:
            self._running.cancel()
            await self.runner.stop()
