"""The folder of jobs: files that are whole or not there, and how much they take."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from api.jobs.durable import UNFINISHED, write_durably
from api.jobs.envelope import is_sealed, seal, unseal

KINDS = ("state", "coarse", "fine", "latent")
LEFT_SECONDS = 60.0
"""Nobody writes one file for so long: what is unfinished then was left by a process that died."""
_RESERVE = "reserve"
RESERVE_BYTES = 2**20
_BLOCK = 4096


@dataclass
class Usage:
    """Bytes on the disk: all, those of each job, and of the disk the free ones and all."""

    total: int = 0
    jobs: dict[str, int] = field(default_factory=dict)
    free: int = 0
    disk: int = 0


class Files:
    """The files of all jobs, in one folder. Every method may raise OSError; call them in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, id_: str, kind: str, data: bytes) -> None:
        """Keeps data in place of what was there; once this returns, it outlasts a loss of power."""
        path = self._path(id_, kind)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_durably(path, seal(id_, kind, data))

    def read(self, id_: str, kind: str) -> bytes:
        """What was written.

        Raises:
            FileNotFoundError, IsADirectoryError, NotADirectoryError: It is gone.
            DamagedError: It is not what was written.
        """
        return unseal(id_, kind, self._path(id_, kind).read_bytes())

    def read_unsealed(self, id_: str, kind: str) -> bytes:
        """What an earlier version wrote, which kept no checksums."""
        kept = self._path(id_, kind).read_bytes()
        return unseal(id_, kind, kept) if is_sealed(kept) else kept

    def remove(self, id_: str, kinds: Iterable[str] = KINDS) -> None:
        """Deletes what a job left."""
        for kind in kinds:
            _remove(self._path(id_, kind))

    def sweep(self, known: set[str], patience: float) -> None:
        """Deletes what died processes left unfinished, and, older than `patience` seconds, files of unknown jobs."""
        for entry in self._entries():
            try:
                age = time.time() - entry.stat(follow_symlinks=False).st_mtime
            except FileNotFoundError:
                continue
            id_, _, kind = entry.name.partition(".")
            left = entry.name.endswith(UNFINISHED) and age > LEFT_SECONDS
            if left or (kind in KINDS and id_ not in known and age > patience):
                _remove(Path(entry.path))

    def usage(self) -> Usage:
        """What all files take now."""
        found = Usage()
        for entry in self._entries():
            try:
                size = entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue  # it was removed just now
            size = -(-size // _BLOCK) * _BLOCK
            id_, _, kind = entry.name.partition(".")
            found.total += size
            if kind in KINDS:
                found.jobs[id_] = found.jobs.get(id_, 0) + size
        disk = os.statvfs(self._folder)
        found.free, found.disk = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        return found

    def reserve(self) -> None:
        """Keeps some room, for the day when there is no other: on a full disk jobs could not even be canceled."""
        path = self._folder / _RESERVE
        try:
            path.write_bytes(os.urandom(RESERVE_BYTES))  # not zeros: some file systems store none
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def has_reserve(self) -> bool:
        """Whether there is such room."""
        return (self._folder / _RESERVE).exists()

    def release(self) -> bool:
        """Gives that room up. False if there is none."""
        try:
            (self._folder / _RESERVE).unlink()
        except FileNotFoundError:
            return False
        return True

    def _entries(self) -> list[os.DirEntry[str]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with os.scandir(self._folder) as entries:
            return list(entries)

    def _path(self, id_: str, kind: str) -> Path:
        return self._folder / f"{id_}.{kind}"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # as Linux and macOS call a folder in the place of a file
        if not path.is_dir():
            raise
        shutil.rmtree(path)
