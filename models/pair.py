"""The denoisers of a set of models that go together: its own, or their students."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.loading import load_student
from models.presets import NO_TURBO, Network
from models.stages import CoarseStage, FineStage


@dataclass(frozen=True)
class Pair:
    """A coarse stage and, where there is one, the fine stage that refines its shapes."""

    coarse: CoarseStage
    fine: FineStage | None = None


@dataclass(frozen=True)
class Folders:
    """Where the models of a pair are, and the students of them, if there are any."""

    coarse: Path
    fine: Path | None = None
    turbo_coarse: Path | None = None
    turbo_fine: Path | None = None


class Pairs:
    """A pair and its students, which are loaded on first use."""

    def __init__(self, own: Pair, students: Callable[[], Pair] | None = None) -> None:
        self.own = own
        self._students = None if students is None else cache(students)

    @classmethod
    def of(cls, own: Pair, folders: Folders) -> Pairs:
        """A pair that was loaded from these folders."""
        if folders.turbo_coarse is None or (own.fine is not None and folders.turbo_fine is None):
            return cls(own)
        coarse, fine = folders.turbo_coarse, folders.turbo_fine

        def students() -> Pair:
            refining = None
            if own.fine is not None and fine is not None and folders.fine is not None:
                refining = load_student(fine, folders.fine, own.fine)
            return Pair(load_student(coarse, folders.coarse, own.coarse), refining)

        return cls(own, students)

    def of_network(self, network: Network) -> Pair:
        """The pair that runs.

        Raises:
            ValueError: There are no students.
            CheckpointError, ConfigError: They cannot be read, or belong to other models.
        """
        if network == "standard":
            return self.own
        if self._students is None:
            raise ValueError(NO_TURBO)
        return self._students()
