"""The turbo pair of a set: students of its coarse and fine model, with which `preset=turbo` needs few steps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from api.messages import ModelStatus
from api.telemetry import metrics
from models.config import Stage
from models.errors import CheckpointError, ConfigError, OtherTeacherError
from models.loading import AnyStage, check_student, load_student
from models.presets import model_of
from models.stage import DiffusionStage
from models.store import ModelSet

log = logging.getLogger("xcube.models")
STAGES: tuple[Stage, ...] = ("coarse", "fine")


class TurboPair:
    """Read at the start, to know whether the students can be used; each is loaded on first use.

    Args:
        found: The set. A stage that it lacks needs no student. Students of other models, as of those that were there
            before these, count as none.
        lacking: Why a model could not be imported, by its name.
    """

    def __init__(self, found: ModelSet | None = None, lacking: Mapping[str, str] | None = None) -> None:
        self.folders: dict[str, Path] = {}
        self._teachers: dict[str, Path] = {}
        self._faults: dict[str, str] = {}
        self._loaded: dict[str, DiffusionStage] = {}
        self._lock = threading.RLock()
        if found is not None:
            self._look(found, lacking or {})

    @property
    def usable(self) -> bool:
        """Whether there is a pair, and nothing is wrong with it."""
        return bool(self.folders) and not self._faults

    @property
    def fault(self) -> str:
        """Why the pair cannot be used, although there is one; empty where it can."""
        return next((_told(fault) for fault in self._faults.values()), "")

    @property
    def names(self) -> list[str]:
        """The models that there are, or should be."""
        return [name for name in map(name_of, STAGES) if name in self.folders or name in self._faults]

    def status(self, name: str, version: str) -> ModelStatus:
        """One of `names`, and whether it can be used."""
        fault = self._faults.get(name, "")
        return ModelStatus(version=version, usable=not fault, fault=_told(fault) if fault else "")

    def stage(self, teacher: AnyStage) -> AnyStage:
        """The stage with its student, loaded now if it is not yet.

        Raises:
            CheckpointError, ConfigError: The student cannot be read any more.
        """
        name = name_of(teacher.stage)
        with self._lock:
            loaded = self._loaded.get(name)
            if loaded is None or loaded.decoder is not teacher.decoder:  # the teacher was unloaded meanwhile
                log.info("loading the %s model", name)
                try:
                    with metrics.loading(name):
                        self._loaded[name] = loaded = load_student(self.folders[name], self._teachers[name], teacher)
                except (CheckpointError, ConfigError) as error:
                    self._note(name, str(error))
                    raise
            assert isinstance(loaded, type(teacher))
            return loaded

    def release(self) -> None:
        """Frees what can be made again, see `DiffusionStage.release`."""
        with self._lock:
            for stage in self._loaded.values():
                stage.release()

    def unload_except(self, needed: str) -> bool:
        """Unloads all students but the one of this name; tells whether there was any."""
        with self._lock:
            idle = [name for name in self._loaded if name != needed]
            for name in idle:
                log.warning("unloading the %s model to make room; it is loaded again when it is needed", name)
                del self._loaded[name]
        return bool(idle)

    def _look(self, found: ModelSet, lacking: Mapping[str, str]) -> None:
        students = {name_of(stage): stage for stage in STAGES if getattr(found, stage) is not None}
        there = {name: folder for name in students if (folder := getattr(found, name)) is not None}
        if not there and not any(name in lacking for name in students):
            return
        self.folders = there
        self._teachers = {name: getattr(found, stage) for name, stage in students.items()}
        for name in students:
            if name not in there:
                self._note(name, lacking.get(name, f"there is no {name} model; import both models of the pair"))
                continue
            try:
                check_student(there[name], self._teachers[name])
            except OtherTeacherError as error:
                log.warning("the turbo pair is left out: %s", error)
                self.folders, self._faults = {}, {}
                return
            except (CheckpointError, ConfigError) as error:
                self._note(name, str(error))

    def _note(self, name: str, fault: str) -> None:
        log.error("the turbo pair cannot be used: %s", fault)
        self._faults[name] = fault


def name_of(stage: Stage) -> str:
    """The name of the student of a stage among the models."""
    return model_of(stage, "turbo")


def _told(fault: str) -> str:
    return f"The turbo pair cannot be used, so ask for another preset until it is repaired: {fault}"
