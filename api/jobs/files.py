"""What jobs leave on disk: the state of a running one, the shapes of a finished one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from api.generation.generator import Saved
from api.messages import Progress
from models.shape import Shape, Voxels

VERSION = 2
_KINDS = ("state", "coarse", "fine")


class Files:
    """The files of all jobs, in one folder.

    Args:
        folder: Where they lie.
        arithmetic: Tells what changes the last bits of a result besides the weights, as the Sampler says now. A state
            that was saved under another one is not resumed: the job starts again instead of becoming a mixture. States
            name their weights themselves, and a Sampler refuses those of others.
    """

    def __init__(self, folder: Path, arithmetic: Callable[[], str]) -> None:
        self._folder = folder
        self._arithmetic = arithmetic

    def save(self, id_: str, saved: Saved) -> None:
        """Saves a running job's state over the last one."""
        progress = saved.progress
        head = {
            "version": VERSION, "arithmetic": self._arithmetic(), "stage": progress.stage, "step": progress.step,
            "steps": progress.steps, "refined": saved.coarse is not None, "warnings": saved.warnings,
        }  # fmt: skip
        if saved.coarse is not None and not self._path(id_, "coarse").exists():
            self._write(id_, "coarse", saved.coarse)
        self._write(id_, "state", json.dumps(head).encode() + b"\n" + progress.state)

    def load(self, id_: str) -> Saved | None:
        """The state that was saved; None if there is none, or none that this service can go on with."""
        try:
            line, _, state = self._path(id_, "state").read_bytes().partition(b"\n")
            head = json.loads(line)
            if (head["version"], head["arithmetic"]) != (VERSION, self._arithmetic()):
                return None
            progress = Progress(state=state, stage=head["stage"], step=head["step"], steps=head["steps"])
            coarse = self._path(id_, "coarse").read_bytes() if head["refined"] else None
            return Saved(progress, coarse, tuple(head["warnings"]))
        except (OSError, ValueError, KeyError):
            return None

    def finish(self, id_: str, result: Shape) -> None:
        """Keeps a job's shapes; its state is not needed any more."""
        self._write(id_, "coarse", result.coarse.to_bytes())
        if result.fine is not None:
            self._write(id_, "fine", result.fine.to_bytes())
        self._path(id_, "state").unlink(missing_ok=True)

    def result(self, id_: str, seed: int, warnings: tuple[str, ...]) -> Shape:
        """The shapes of a finished job.

        Raises:
            OSError: They are gone.
        """
        coarse, fine = self._path(id_, "coarse").read_bytes(), self._path(id_, "fine")
        return Shape(
            Voxels.from_bytes(coarse), Voxels.from_bytes(fine.read_bytes()) if fine.exists() else None, seed, warnings
        )

    def remove(self, id_: str) -> None:
        """Deletes everything that a job left."""
        for kind in _KINDS:
            self._path(id_, kind).unlink(missing_ok=True)

    def _path(self, id_: str, kind: str) -> Path:
        return self._folder / f"{id_}.{kind}"

    def _write(self, id_: str, kind: str, data: bytes) -> None:
        path = self._path(id_, kind)
        unfinished = path.with_suffix(f".{kind}.tmp")
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
