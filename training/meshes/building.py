"""From a folder of meshes to a training set, on all cores, continued where it was stopped."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from formats.meshes import SUFFIXES
from models.errors import ConfigError
from training.children import end_with_parent
from training.engine import progress_bar
from training.leftovers import clear
from training.meshes.captions import TABLES, Table, Words, read_table, spoken, words_of
from training.meshes.folder import listed, look
from training.meshes.making import NO_MEMORY, Refusal, make
from training.meshes.store import Entry, Item, Place, TrainingSet, places, write_set, write_shard, write_text

SHARD_ITEMS, SHARD_SECONDS, SHARD_VOXELS = 64, 20.0, 20_000_000
"""A shard is written when it holds so much, or after so long: what a kill can lose."""
REFUSED_FILE = "refused.json"
VERSION = 1
"""Of how meshes become voxels: another one makes all of them again."""


@dataclass(frozen=True)
class Settings:
    """How a folder is read. way: `auto`, `names`, `folders`, or a table's path; heldout: share kept for measuring."""

    resolution: int = 128
    up: str | None = None
    way: str = "auto"
    hidden: bool = False
    heldout: float = 0.15
    workers: int = 1


@dataclass
class Report:
    """What became of a folder: sentences by file. without: files that the table names and that are not there.

    other: how many files there are by the ends of their names that hold meshes too, and that cannot be read.
    """

    repaired: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    other: dict[str, int] = field(default_factory=dict)


def build(folder: Path, out: Path, settings: Settings, name: str) -> tuple[TrainingSet, Report]:
    """Makes, or completes, the training set of a folder.

    Raises:
        ConfigError: the folder or its table of captions cannot be read, or nothing in it can be used.
        OSError: the set cannot be written; what was done is kept, and another run goes on from there.
    """
    table = _table(folder, settings.way)
    found = look(folder, out)
    files = found.meshes
    if not files:
        others = f"; it holds {listed(found.other)}: convert or unpack them first" if found.other else ""
        raise ConfigError(f"{folder}: holds no mesh; put files of {', '.join(s[1:] for s in SUFFIXES)} into it{others}")
    report = Report(refused=dict(found.refused), other=found.other)
    spoken_for = {row for file in files if (row := table.of(file)) is not None}
    report.without = sorted(set(table.rows) - spoken_for)
    words: dict[str, Words] = {}
    for file in files:
        said = words_of(file, table, settings.way)
        if said is None:
            report.refused[file] = "has no caption: name it or its folder after what it shows, or add it to the table"
        else:
            words[file] = said
    keys = {}
    for file in words:
        try:
            keys[file] = _key(folder / file, settings)
        except OSError as error:
            report.refused[file] = f"cannot be read ({error.strerror or error}): correct that and run the command again"
    made, refusals = _voxelised(folder, out, keys, settings)
    taken: dict[str, str] = {}
    items = []
    for file, key in keys.items():
        place = made.get(key)
        if place is None:
            report.refused[file] = refusals.get(key, "could not be made: run the command again")
        elif place.digest in taken:
            report.refused[file] = f"is the same shape as {taken[place.digest]}"
        else:
            taken[place.digest] = file
            items.append(_item(file, key, words[file], place, settings.heldout))
            if place.notes:
                report.repaired[file] = place.notes
    if not items:
        first = next(iter(report.refused.items()))
        strays = f"; the table names {report.without[0]}, which is not there" if report.without else ""
        raise ConfigError(f"{folder}: no mesh can be used; the first, {first[0]}, {first[1]}{strays}")
    if all(item.split == "heldout" for item in items):
        items = [Item(**{**item.__dict__, "split": "train"}) for item in items]
    result = TrainingSet(out, name, settings.resolution, tuple(items))
    write_set(result)
    return result, report


def _table(folder: Path, way: str) -> Table:
    if way not in ("auto", "names", "folders"):
        return read_table(Path(way))
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is no folder; give one that holds meshes")
    return next((read_table(folder / name) for name in TABLES if way == "auto" and (folder / name).exists()), Table())


def _key(path: Path, settings: Settings) -> str:
    """Of the file's content, and of all that changes what becomes of it."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((VERSION, settings.resolution, settings.up, settings.hidden, path.suffix.lower())).encode())
    for part in (path, *(sorted(path.parent.glob("*.bin")) if path.suffix.lower() == ".gltf" else ())):
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def _item(file: str, key: str, words: Words, place: Place, heldout: float) -> Item:
    split = "heldout" if int(place.digest[:8], 16) / 2**32 < heldout else "train"
    return Item(key, file, words.kind, spoken(words), words.credit, split, place.shard, place.row)


def _refusals(out: Path) -> dict[str, str]:
    path = out / REFUSED_FILE
    try:
        return {str(key): str(text) for key, text in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _voxelised(
    folder: Path, out: Path, keys: dict[str, str], settings: Settings
) -> tuple[dict[str, Place], dict[str, str]]:
    """Makes the voxels that are not there yet; returns where all are, and why some are not."""
    clear(out)
    there, lasting = places(out), _refusals(out)
    todo = list({key: file for file, key in keys.items() if key not in there and key not in lasting}.items())
    waiting: list[Entry] = []
    for_now: dict[str, str] = {}
    written = time.monotonic()
    with progress_bar("meshes", len(todo)) as bar:
        for done, (key, result) in enumerate(_made(folder, todo, settings), start=1):
            if isinstance(result, Entry):
                waiting.append(result)
            else:
                (lasting if result.lasting else for_now)[key] = result.sentence
            voxels = sum(len(entry.fine) for entry in waiting)
            late = time.monotonic() - written > SHARD_SECONDS
            if late or len(waiting) >= SHARD_ITEMS or voxels >= SHARD_VOXELS or done == len(todo):
                if waiting:
                    write_shard(out, waiting)
                write_text(out / REFUSED_FILE, json.dumps(lasting, indent=1, ensure_ascii=False))
                waiting, written = [], time.monotonic()
            bar.advance(done, fraction=done / len(todo))
    return places(out), lasting | for_now


def _made(folder: Path, todo: Sequence[tuple[str, str]], settings: Settings) -> Iterator[tuple[str, Entry | Refusal]]:
    """Each key with its voxels, or with why there are none, in the order of `todo`."""
    how = (settings.resolution, settings.up, settings.hidden)
    if settings.workers <= 1 or len(todo) <= 2:
        for key, file in todo:
            yield key, make(folder / file, key, *how)
        return
    context = multiprocessing.get_context("spawn")
    at, alone = 0, False
    while at < len(todo):
        ahead = 1 if alone else 4 * settings.workers  # finished shapes wait in memory
        end = at + 1 if alone else len(todo)
        jobs: deque[Future[Entry | Refusal]] = deque()
        try:
            with ProcessPoolExecutor(1 if alone else settings.workers, context, end_with_parent) as pool:
                while at < end:
                    for key, file in todo[at + len(jobs) : min(at + ahead, end)]:
                        jobs.append(pool.submit(make, folder / file, key, *how))
                    yield todo[at][0], jobs.popleft().result()
                    at += 1
            alone = False
        except BrokenProcessPool:
            # A process was killed, most likely for memory. The mesh that does it alone as well is left out.
            if alone:
                yield todo[at][0], NO_MEMORY
                at += 1
            alone = not alone
