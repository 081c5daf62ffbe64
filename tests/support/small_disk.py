"""A disk that is small enough to be filled, as a file system of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Path]:
    """A folder as a disk of its own; the test is skipped where nobody may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Nothing can be written to the disk of a folder as long as the block runs."""
    path = fill(folder)
    try:
        yield
    finally:
        path.unlink()


def fill(folder: Path) -> Path:
    """Fills the disk of a folder by one file, which is returned."""
    path = folder / "somebody-else-s"
    with path.open("wb", buffering=0) as filler:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(size))
    return path


def is_full(folder: Path) -> bool:
    """Whether not even one more page fits."""
    disk = os.statvfs(folder)
    return disk.f_bavail == 0
