"""Finds models in a checkpoint folder and puts them into the model store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.card import read_card
from models.checkpoint.clip import open_clip_tower
from models.checkpoint.convert import ImportProgress
from models.checkpoint.official import CHECKPOINT_FILE, open_official
from models.checkpoint.own import open_own
from models.checkpoint.source import Source
from models.config import Stage
from models.errors import ConfigError, XCubeError
from models.files import is_there
from models.loading import WEIGHTS_FILE
from models.store import KINDS, SetName, Stored, put

log = logging.getLogger("xcube.import")

OFFICIAL: dict[str, Stage] = {"objaverse_coarse": "coarse", "objaverse_fine": "fine"}
DEMO_PREFIX = "demo_"
TELL_SECONDS = 2.0
"""Between two lines in the log about one import."""


@dataclass(frozen=True)
class Candidate:
    """A folder that holds a model, and the set it belongs to."""

    folder: Path
    model_set: SetName
    open: Callable[[], Source]

    @property
    def kind(self) -> str:
        """What the model is as the folder's name says, also where nothing in it can be read: `text`, `coarse` ..."""
        name = self.folder.name
        return max((kind for kind in KINDS if f"_{name}".endswith(f"_{kind}")), key=len, default="")


@dataclass(frozen=True)
class Imported:
    """What became of one folder: either `stored` or `error`."""

    folder: Path
    stored: Stored | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None


def candidates(checkpoint_dir: Path) -> Iterator[Candidate]:
    """The models in a checkpoint folder, sorted by name.

    Official ones are `objaverse_coarse` and `objaverse_fine` with `config.yaml` and `last.ckpt`; those in our own
    format are any folders with `config.yaml` and `model.safetensors`: of the set that their `card.json` names; without
    one they are demo models if the name begins with `demo_`, else official ones.
    """
    for folder in sorted(path for path in checkpoint_dir.glob("*/") if path.is_dir()):
        if is_there(folder / WEIGHTS_FILE):
            yield Candidate(folder, _set_of(folder), partial(open_own, folder))
        elif folder.name in OFFICIAL and any(is_there(folder / name) for name in (CHECKPOINT_FILE, "config.yaml")):
            yield Candidate(folder, "official", partial(open_official, folder, OFFICIAL[folder.name]))


def _set_of(folder: Path) -> SetName:
    """The set that a model of our own format belongs to: its card says so, or else its folder's name."""
    try:
        card = read_card(folder)
    except ConfigError as error:
        log.warning("%s", error)
        card = None
    if card is not None:
        return card.name
    return "demo" if folder.name.startswith(DEMO_PREFIX) else "official"


def import_models(
    checkpoint_dir: Path,
    progress: Callable[[Candidate], ImportProgress | None] = lambda _: None,
    *,
    force: bool = False,
) -> Iterator[Imported]:
    """Imports every model found, one after the other. A model that cannot be imported stops no other one.

    Args:
        checkpoint_dir: Where to look for models.
        progress: Gives what is told of one model's progress.
        force: Whether models that are in the store already are read and written again.
    """
    for candidate in candidates(checkpoint_dir):
        yield _imported(candidate, progress(candidate), force)


def import_clip(place: str, progress: ImportProgress | None = None, *, force: bool = False) -> Imported:
    """Imports the official models' text tower from a CLIP checkpoint: a file, a folder, or a name on the hub."""
    return _imported(Candidate(Path(place), "official", partial(open_clip_tower, place)), progress, force)


def _imported(candidate: Candidate, progress: ImportProgress | None, force: bool) -> Imported:
    try:
        source = candidate.open()
        return Imported(candidate.folder, put(source, candidate.model_set, progress, force=force), source.warnings)
    except XCubeError as error:
        return Imported(candidate.folder, error=str(error))
    except Exception as error:  # no file, whatever it holds, may keep the other models from being served
        log.exception("%s cannot be imported", candidate.folder)
        text = f"{candidate.folder}: cannot be imported because of a bug ({type(error).__name__}); please report it"
        return Imported(candidate.folder, error=text)


def import_demo(checkpoint_dir: Path) -> None:
    """Puts the demo models of a checkpoint folder into the model store, and nothing else that lies there.

    A folder that is missing or has none is no error. Raises CheckpointError or ConfigError if one cannot be imported.
    """
    for candidate in candidates(checkpoint_dir):
        if candidate.model_set == "demo":
            stored = put(candidate.open(), candidate.model_set)
            log.info("imported %s as %s", candidate.folder, stored.tag)


def ensure_imported(checkpoint_dir: Path) -> list[tuple[Candidate, str]]:
    """Brings the store up to date with a checkpoint folder, as a service does when it starts.

    What is in the store already costs a look at the files' tables. Returns the models that could not be imported, with
    one sentence each; what happened else is logged.
    """
    errors = []
    for candidate in candidates(checkpoint_dir):
        result = _imported(candidate, _Told(candidate), force=False)
        for warning in result.warnings:
            log.warning("%s", warning)
        if result.error is not None:
            log.error("%s", result.error)
            errors.append((candidate, result.error))
        elif result.stored is not None and result.stored.added:
            log.info("imported %s as %s", result.folder, result.stored.tag)
    return errors


class _Told:
    """Writes into the log how far an import is, where it takes longer than a moment."""

    def __init__(self, candidate: Candidate) -> None:
        self._name = candidate.folder.name
        self._next = time.monotonic() + TELL_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + TELL_SECONDS
            log.info("importing %s: %d %%", self._name, 100 * done // total)
