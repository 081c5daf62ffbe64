"""The files through which the processes of one service share their figures, as prometheus_client has it.

Every process maps files of its own into memory, named after its id, and whoever answers GET /metrics adds up all of
them. When somebody removes the files of a running service, each process writes its own anew, with what they held.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from prometheus_client import values

from api.process.temporary import Keeper

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_DESCRIPTORS = Path("/proc/self/fd")


def folder() -> Path | None:
    """The folder of this service's files, made if it is missing; None outside of `bentoml serve`."""
    name = os.environ.get(FOLDER_VARIABLE)
    if name is None:
        return None
    path = Path(name)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def share() -> None:
    """Makes this process share its figures with those of the same service. Call it before the first metric is made."""
    path = folder()
    if path is not None:
        _Files(path)


def owner(file: Path) -> tuple[str, int]:
    """Who writes a file: as it stands in the file's name, and the process's id."""
    name = file.stem.rpartition("_")[2]
    return name, int(name.partition("-")[0])


class _Files:
    """This process's files in the folder.

    A process that had to write them anew calls itself 123-1, then 123-2, because prometheus_client opens files again
    only where the process has become another.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path
        self._renewals = 0
        self._known: set[str] = set()
        values.ValueClass = values.MultiProcessValue(self._owner)  # type: ignore[no-untyped-call]  # it has no types
        Keeper(path, self._renew, self._paths)

    def _owner(self) -> str:
        return f"{os.getpid()}-{self._renewals}" if self._renewals else str(os.getpid())

    def _paths(self) -> list[Path]:
        ending = f"_{self._owner()}.db"
        self._known |= {path.name for path in self._folder.glob(f"*{ending}")}
        return [self._folder / name for name in self._known]

    def _renew(self, _: Path) -> bool:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        old, names = self._owner(), self._known
        self._renewals += 1
        self._known = set()
        for name in names:
            _restore(self._folder / name, self._folder / name.replace(f"_{old}.db", f"_{self._owner()}.db"))
        return True


def _restore(file: Path, renamed: Path) -> None:
    """Gives a file of this process its new name, out of the open file where the name is gone.

    Where the system does not show open files (macOS), the figures start again at zero.
    """
    try:
        file.rename(renamed)
        return
    except FileNotFoundError:
        pass
    for descriptor in _DESCRIPTORS.glob("*"):
        try:
            if os.readlink(descriptor) == f"{file} (deleted)":
                unfinished = renamed.with_suffix(".new")
                shutil.copyfile(descriptor, unfinished)
                unfinished.rename(renamed)
                return
        except FileNotFoundError:  # closed meanwhile
            continue
