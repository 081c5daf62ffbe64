"""Files written off the event loop: in a thread, or in a process of its own where a thread would block the loop.

Marching cubes and text files of large shapes keep the interpreter for seconds, in which a service answers nobody.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from formats.kinds import Format
from formats.options import Options
from formats.parcel import NO_MEMORY, UNFIT, Job, unpacked_file
from formats.pipeline import File, file_of
from formats.report import size_of
from models.errors import ShapeError
from models.shape import Shape

LARGE = 50_000
"""Voxels from which on work that is long gets a process of its own, whose start takes about a second."""
_PROCESSES = 2
_ROOT = Path(__file__).parents[1]


class FileWriter:
    """Writes shapes as files for the tasks of one event loop; at most two processes work at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_PROCESSES)

    async def write(self, format_: Format, shape: Shape, version: str, options: Options | None = None) -> File:
        """The shape as a file in a format. A task that is cancelled ends its process.

        Raises:
            OptionError: the format does not take these options.
            ShapeError: the shape is too large for the format or for an option.
            RuntimeError: the process failed, which is a bug; the text has its last words.
        """
        options = options or Options()
        format_.check(options)
        if not _is_long(format_, shape, options):
            return await asyncio.to_thread(file_of, format_, shape, version, options)
        async with self._places:
            return await _write_apart(Job(format_.name, shape, version, options))


def _is_long(format_: Format, shape: Shape, options: Options) -> bool:
    count = len(shape.finest)
    if options.size is not None and count:
        # A shell's voxels grow with the square of its size, and a solid's with the cube.
        count = round(count * max(1.0, options.size / max(size_of(shape.finest))) ** 3)
    return (format_.kind in ("surface", "report") or bool(options.given())) and count >= LARGE


async def _write_apart(job: Job) -> File:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "formats", cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        content, said = await process.communicate(await asyncio.to_thread(job.to_bytes))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == UNFIT:
        raise ShapeError(said.decode())
    if process.returncode == -signal.SIGKILL:  # by the system, which has no memory left
        raise ShapeError(NO_MEMORY)
    if process.returncode != 0:
        raise RuntimeError(f"writing {job.format} failed: {said.decode(errors='replace')[-2000:]}")
    return unpacked_file(content)
