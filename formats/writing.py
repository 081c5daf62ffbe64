"""Files written off the event loop: in a thread, or in a process of its own where a thread would block the loop.

Marching cubes and text files of large shapes keep the interpreter for seconds, in which a service answers nobody.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from formats.registry import Format
from models.shape import Shape

LARGE = 50_000
"""Voxels from which on a surface is made in a process of its own, whose start takes about a second."""
_PROCESSES = 2
_ROOT = Path(__file__).parents[1]


class FileWriter:
    """Writes shapes as files for the tasks of one event loop; at most two processes work at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_PROCESSES)

    async def write(self, format_: Format, shape: Shape, version: str) -> bytes:
        """The shape as a file in a format. A task that is cancelled ends its process.

        Raises:
            RuntimeError: the process failed, which is a bug; the text has its last words.
        """
        if not format_.surface or len(shape.finest) < LARGE:
            return await asyncio.to_thread(format_.encode, shape, version)
        async with self._places:
            return await _write_apart(format_, shape, version)


async def _write_apart(format_: Format, shape: Shape, version: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "formats", format_.name, str(shape.seed), version, cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        content, said = await process.communicate(shape.finest.to_bytes())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"writing {format_.name} failed: {said.decode(errors='replace')[-2000:]}")
    return content
