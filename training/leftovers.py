"""Files written in one step, and what is left half-written of processes that were killed."""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def half_of(path: Path) -> Path:
    """Where this process writes what will be a file once it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def clear(folder: Path) -> None:
    """Removes half-written files in a folder whose processes are gone: a kill -9 leaves them, and they take room."""
    for path in folder.glob(".*") if folder.is_dir() else ():
        number = path.name.rpartition(".")[2]
        if path.name.count(".") >= 2 and number.isdecimal() and not psutil.pid_exists(int(number)):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file in one step: who reads it sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = half_of(path)
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
