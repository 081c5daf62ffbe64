"""States and results as objects, each with its length and its checksum.

Every owner of a job has names of its own for what it keeps, and the record tells whose count: an owner that was cut
off, and still writes, overwrites nothing of the one that has taken its job up. Coarse shapes of states are named by
their content, so that the next owner need not write them again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from api.generation.generator import Saved
from api.jobs import snapshots
from api.jobs.envelope import seal, unseal
from api.jobs.record import Record
from api.jobs.results import unpacked
from api.jobs.shared.objects import Objects
from models.shape import Shape

_MARK = "xcube/belongs-to"
_ID = re.compile(r"[0-9a-f]{32}")
_LEFT_SECONDS = 3600.0
"""Nobody keeps anything for so long without a record."""


class Kept:
    """What jobs have kept. Every method may raise OSError; call them in threads.

    Args:
        objects: Where.
        arithmetic: Tells what changes the bytes of a result besides the request, as it is now.
    """

    def __init__(self, objects: Objects, arithmetic: Callable[[], str]) -> None:
        self._objects = objects
        self._arithmetic = arithmetic

    def check(self, name: str, *, empty: bool) -> None:
        """Lets pass the place in which these jobs have kept what they have, and no other.

        Args:
            name: Of the jobs.
            empty: Whether they have kept nothing yet.

        Raises:
            OSError: It is another place, or belongs to other jobs.
        """
        try:
            found = self._objects.read(_MARK).decode(errors="replace")
        except FileNotFoundError:
            if self._objects.may_be_elsewhere and not empty:
                raise OSError(
                    "the folder of XCUBE_RESULTS_URL is not the one in which results were kept: see whether its disk "
                    "is mounted"
                ) from None
            self._objects.write(_MARK, name.encode())
            return
        if found != name:
            raise OSError(
                "what is kept at XCUBE_RESULTS_URL belongs to jobs of another database: give each XCUBE_JOBS_URL a "
                "bucket, prefix or folder of its own"
            )

    def save(self, id_: str, owner: str, saved: Saved, previous: Saved | None) -> int:
        """Keeps a state; returns what it takes, in bytes."""
        state = seal(id_, "state", snapshots.pack(saved, self._arithmetic()))
        size = len(state)
        if saved.coarse is not None:
            coarse = seal(id_, "half", saved.coarse)
            size += len(coarse)
            if previous is None or previous.coarse is not saved.coarse:
                self._objects.write(_half(id_, saved.coarse), coarse)
        self._objects.write(f"{id_}/{owner}.state", state)
        return size

    def load(self, id_: str, keeper: str) -> Saved | None:
        """The state that an owner has kept; None if its bytes are not those that would be computed now.

        Raises:
            FileNotFoundError, IsADirectoryError, NotADirectoryError: A part is gone.
            DamagedError: A part is not what was kept.
        """
        state = unseal(id_, "state", self._objects.read(f"{id_}/{keeper}.state"))
        name = snapshots.coarse_of(state)
        coarse = None if name is None else unseal(id_, "half", self._objects.read(f"{id_}/half-{name}"))
        return snapshots.unpack(state, self._arithmetic(), coarse)

    def keep(self, id_: str, owner: str, shapes: dict[str, bytes]) -> None:
        """Keeps a result, by kind of its shapes."""
        for kind, data in shapes.items():
            self._objects.write(f"{id_}/{owner}.{kind}", seal(id_, kind, data))

    def result(self, record: Record) -> Shape:
        """What was kept.

        Raises:
            FileNotFoundError, IsADirectoryError, NotADirectoryError: A part is gone.
            DamagedError: A part is not what was kept.
        """
        return unpacked(
            record, lambda kind: unseal(record.id, kind, self._objects.read(f"{record.id}/{record.keeper}.{kind}"))
        )

    def remove(self, id_: str, but_the_result_of: str | None = None) -> None:
        """Deletes what a job has kept, or all but one owner's result."""
        self._objects.remove(id_, None if but_the_result_of is None else f"{but_the_result_of}.")

    def left(self) -> list[str]:
        """Ids of jobs, known or not, that have kept something for longer than a job takes to get its record."""
        return [id_ for id_, age in self._objects.folders() if _ID.fullmatch(id_) and age > _LEFT_SECONDS]


def _half(id_: str, coarse: bytes) -> str:
    return f"{id_}/half-{snapshots.name_of(coarse)}"
