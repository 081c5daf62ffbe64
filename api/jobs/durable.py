"""Files that are whole or not there, and that outlast a loss of power once they are written."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from pathlib import Path

UNFINISHED = ".tmp"


def write_durably(path: Path, data: bytes) -> None:
    """Writes a file in place of what was there, a folder too. Its folder has to be there."""
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        with unfinished.open("wb", buffering=0) as file:
            left = memoryview(data)
            while left:  # a disk that is nearly full takes a part
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(unfinished, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def sync_folder(path: Path) -> None:
    """Has the names in a folder last: that of a file does only when its folder is on the disk too."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
