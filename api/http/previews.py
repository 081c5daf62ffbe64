"""Pictures of a coarse shape while it becomes one: what a stream tells between `progress` and `coarse`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api.generation.events import Previewed
from api.generation.generator import Generator
from api.messages import Progress
from models.errors import XCubeError


class Previews:
    """Decodes the state of a generation a few times on its way, beside the work itself, one at a time.

    Args:
        generator: Who decodes.
        count: Previews in all, at most; spread evenly over the coarse stage.
        report: Gets each of them.
    """

    def __init__(self, generator: Generator, count: int, report: Callable[[Previewed], None]) -> None:
        self._generator = generator
        self._count = count
        self._report = report
        self._part = 0
        self._work: asyncio.Task[None] | None = None

    def follow(self, progress: Progress) -> None:
        """Begins a preview, if it is time for one and none is under way."""
        if progress.stage != "coarse" or progress.done:
            self.stop()
            return
        part = progress.step * (self._count + 1) // progress.steps
        if part > self._part and (self._work is None or self._work.done()):
            self._part = part
            self._work = asyncio.create_task(self._preview(progress))

    def stop(self) -> None:
        """Ends the one under way; the shape itself is there, or nobody wants it."""
        if self._work is not None:
            self._work.cancel()

    async def _preview(self, progress: Progress) -> None:
        try:
            voxels = await self._generator.preview(progress)
        except XCubeError:
            return  # early ones are often empty, and none is needed
        self._report(Previewed(voxels))
