"""Models in and out of the BentoML model store.

A model of ours is `xcube-text`, `xcube-coarse` or `xcube-fine`, and `xcube-turbo_coarse` or `xcube-turbo_fine` where
there are students for few steps. Its version is a digest of its content, and its label `set` says which set it belongs
to: the demo, the official models, or one of a user's own. Sets are never mixed: a text tower of one and a coarse model
of the other would run and give nonsense.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore

from models.card import CARD_FILE, NAME
from models.checkpoint.convert import ImportProgress, convert
from models.checkpoint.source import Source
from models.errors import CheckpointError
from models.home import check_home
from models.loading import CONFIG_FILE, WEIGHTS_FILE

SetName = str
"""demo, official, or a name that `models.card.NAME` allows."""
KINDS = ("text", "coarse", "fine", "turbo_coarse", "turbo_fine")
STAMP = "imported.txt"
"""Holds the set and the fingerprint of what was imported; its time of change says which version came last."""


@dataclass(frozen=True)
class Stored:
    """A model in the store. `added` is false if the same content was there before."""

    tag: str
    folder: Path
    added: bool


@dataclass(frozen=True)
class ModelSet:
    """Folders, in our own format, of the models of one set; None for what is not in the store."""

    name: SetName
    text: Path | None = None
    coarse: Path | None = None
    fine: Path | None = None
    turbo_coarse: Path | None = None
    turbo_fine: Path | None = None


def find(model_set: str = "auto") -> ModelSet:
    """The models to serve: a set by its name, or "auto": the official ones if there is a coarse one, else the demo.

    Where a model was imported in several versions, the one imported last counts. Raises ValueError for what can be no
    name.
    """
    if not NAME.fullmatch(model_set):
        raise ValueError(f"model_set must be auto, demo, official or the name of a set, not {model_set!r}")
    if model_set == "auto":
        official = find("official")
        return official if official.coarse is not None else find("demo")
    return ModelSet(model_set, **{kind: next(iter(_versions(kind, model_set)), None) for kind in KINDS})


def sets() -> list[ModelSet]:
    """Every set in the store, sorted by name."""
    stamps = (stamp for kind in KINDS for stamp in (_root() / f"xcube-{kind}").glob(f"*/{STAMP}"))
    return [find(name) for name in sorted({_stamped(stamp.parent)[0] for stamp in stamps}) if NAME.fullmatch(name)]


def remove(model_set: SetName) -> list[str]:
    """Removes all versions of a set's models; returns their tags, none where there is no such set."""
    removed = []
    with _workplace(_root()) as workplace:
        for kind in KINDS:
            for folder in _versions(kind, model_set):
                removed.append(_tag(folder))
                folder.rename(workplace / f"{kind}-{folder.name}")  # away in one step
                (folder.parent / "latest").unlink(missing_ok=True)
    return removed


def put(source: Source, model_set: SetName, progress: ImportProgress | None = None, *, force: bool = False) -> Stored:
    """Converts a model into the store, unless it is there already; either way it becomes the one that `find` gives.

    Args:
        source: The model.
        model_set: The set that it belongs to.
        progress: Is told how far the conversion is.
        force: Whether a model that is there is converted again, because it may be damaged.

    Raises:
        CheckpointError: The weights are unusable or the disk is full; the store is then as it was.
    """
    for folder in _versions(source.kind, model_set):
        if _stamped(folder)[1] == source.fingerprint and not force:
            _stamp(folder, model_set, source.fingerprint)
            return Stored(_tag(folder), folder, added=False)
    root = _root()
    try:
        with _workplace(root) as workplace:
            weights = workplace / "weights"
            weights.mkdir()
            version = convert(source, weights, salt=model_set, progress=progress)
            folder = root / f"xcube-{source.kind}" / version
            if folder.exists() and not force:
                _stamp(folder, model_set, source.fingerprint)
                return Stored(_tag(folder), folder, added=False)
            made = _describe(source.kind, version, model_set, workplace)
            if (source.path.parent / CARD_FILE).is_file():
                shutil.copyfile(source.path.parent / CARD_FILE, made / CARD_FILE)
            for file in weights.iterdir():
                file.rename(made / file.name)
            _stamp(made, model_set, source.fingerprint)
            _open_up(made, root)
            with _out_of_the_way(folder, workplace):
                _publish(made, folder)
    except OSError as error:
        raise CheckpointError(
            f"{source.path}: the model store in {root} cannot be written to ({error.strerror or error}); "
            "make room there or set BENTOML_HOME to another folder"
        ) from error
    return Stored(_tag(folder), folder, added=True)


def _describe(kind: str, version: str, model_set: SetName, workplace: Path) -> Path:
    """A folder outside the store with BentoML's description of a model that still lacks its files."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")  # saving a model would send a usage report
    (workplace / "store").mkdir()
    store = ModelStore(workplace / "store")
    with bentoml.models.create(f"xcube-{kind}:{version}", labels={"set": model_set, "kind": kind}, _model_store=store):
        pass
    return Path(store.get(f"xcube-{kind}:{version}").path)


def _open_up(made: Path, root: Path) -> None:
    """Lets everybody read a model who may read the store: what comes out of a temporary folder is its owner's alone.

    A store is read by other users too, such as that of a container.
    """
    mode = root.stat().st_mode & 0o777
    for file in made.iterdir():
        file.chmod(mode & 0o666)
    made.chmod(mode)


def _publish(made: Path, folder: Path) -> None:
    """Moves a complete model into the store in one step; another process may have been faster with the same content."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    (folder.parent / "latest").unlink(missing_ok=True)  # BentoML finds the newest version again by itself


@contextmanager
def _out_of_the_way(folder: Path, workplace: Path) -> Iterator[None]:
    """Makes room for a model that is written again; the old one comes back if that fails."""
    old = workplace / "old"
    if folder.exists():
        folder.rename(old)
    try:
        yield
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise


@contextmanager
def _workplace(root: Path) -> Iterator[Path]:
    """A temporary folder on the store's own file system, so that a finished model can be moved and not copied."""
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="xcube-import-", dir=root.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _versions(kind: str, model_set: SetName) -> list[Path]:
    """Folders of a kind and set, the one imported last first; what we did not put there is passed over."""
    found = [
        stamp.parent
        for stamp in (_root() / f"xcube-{kind}").glob(f"*/{STAMP}")
        if _stamped(stamp.parent)[0] == model_set and (stamp.parent / WEIGHTS_FILE).is_file()
    ]
    return sorted(found, key=lambda folder: (folder / STAMP).stat().st_mtime_ns, reverse=True)


def _root() -> Path:
    """The folder of all models. Raises ConfigError if there can be none."""
    try:
        return Path(BentoMLContainer.model_store.get()._path)
    except OSError:
        check_home()  # says what to do about it
        raise


def name_of_weights(folder: Path) -> str:
    """What tells the model in a folder from any other: its tag in the store, elsewhere a digest of its content."""
    if (folder / STAMP).is_file():
        return _tag(folder)
    content = hashlib.blake2b(digest_size=16)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        with (folder / name).open("rb") as file:
            content.update(hashlib.file_digest(file, "blake2b").digest())
    return f"{folder.name}:{content.hexdigest()}"


def _tag(folder: Path) -> str:
    return f"{folder.parent.name}:{folder.name}"


def _stamped(folder: Path) -> tuple[str, str]:
    """Set and fingerprint of a stored model."""
    model_set, _, fingerprint = (folder / STAMP).read_text(encoding="utf-8").partition("\n")
    return model_set, fingerprint.strip()


def _stamp(folder: Path, model_set: SetName, fingerprint: str) -> None:
    """Marks a version as imported last, in one step: other processes read the mark at the same time.

    A store that is read-only, as in a container, keeps its order.
    """
    made = folder / f".{STAMP}-{uuid.uuid4().hex}"
    try:
        made.write_text(f"{model_set}\n{fingerprint}\n", encoding="utf-8")
        made.replace(folder / STAMP)
    except OSError:
        with suppress(OSError):
            made.unlink(missing_ok=True)
        if os.access(folder, os.W_OK):
            raise
