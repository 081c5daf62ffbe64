"""A set of models as one file: a zip with a folder for each model, in our own format."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from models.card import CARD_FILE
from models.errors import CheckpointError
from models.loading import CONFIG_FILE, WEIGHTS_FILE
from models.store import KINDS, find

_ENTRY = re.compile(rf"[a-z0-9][a-z0-9-]{{0,31}}_({'|'.join(KINDS)})/({CONFIG_FILE}|{WEIGHTS_FILE}|{CARD_FILE})")


def export_set(name: str, path: Path) -> list[str]:
    """Writes the models of a set in the store into one file, in one step; returns their kinds.

    Raises:
        CheckpointError: there is no such set, or the file cannot be written.
    """
    chosen = find(name)
    folders = {kind: folder for kind in KINDS if (folder := getattr(chosen, kind)) is not None}
    if not folders:
        raise CheckpointError(f"{name}: no such set in the model store; scripts/import --list shows those there are")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for kind, folder in folders.items():
                for file in (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE):
                    if (folder / file).is_file():
                        archive.write(folder / file, f"{chosen.name}_{kind}/{file}")
        temporary.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror or error}); make room there or name another file"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return list(folders)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A temporary folder with the models of a file that `export_set` wrote, ready to be imported.

    Raises:
        CheckpointError: it is no such file, is damaged, or there is no room for what it holds.
    """
    with TemporaryDirectory(prefix="xcube-set-") as place:
        try:
            with zipfile.ZipFile(path) as archive:
                if odd := next((name for name in archive.namelist() if not _ENTRY.fullmatch(name)), None):
                    raise CheckpointError(
                        f"{path}: holds {odd[:60]!r}, which belongs to no set of models; export it again"
                    )
                for entry in archive.infolist():
                    file = Path(place) / entry.filename
                    file.parent.mkdir(exist_ok=True)
                    with archive.open(entry) as read, file.open("wb") as written:
                        shutil.copyfileobj(read, written)
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            raise CheckpointError(
                f"{path}: cannot be unpacked ({error}); export the set again with scripts/import --export, "
                "or make room for it"
            ) from error
        yield Path(place)
