"""The furniture of Sweet Home 3D: what its catalogues say about each piece, and the pieces as OBJ files.

Debian's package sweethome3d-furniture brings zip files, each with a catalogue of properties ("name#7=Armchair") and an
OBJ file for each piece. A catalogue states one licence for all of its pieces.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError

PLACE = Path("/usr/share/sweethome3d/furniture")
PACKAGE = "sweethome3d-furniture"
CATALOGUE = "PluginFurnitureCatalog.properties"
FREE = {
    r"public domain|cc-?0|creative commons zero": "CC0",
    r"creative commons( 3\.0)? attribution( 3\.0)?( unported| united states)?( license| 3\.0|,|$)": "CC-BY 3.0",
}
"""Licences whose pieces are used, as catalogues write them, and their short names."""
BARRED = re.compile(r"share|non-?commercial|no-?deriv|\bsa\b|\bnc\b|\bnd\b")
_ROW = re.compile(r"^(\w+)#(\d+)=(.*)$", re.MULTILINE)
_HEAD = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)
_SIZE = ("width", "height", "depth")


@dataclass(frozen=True)
class Piece:
    """A piece as its catalogue has it. size: width, height and depth in cm; rotation: of the mesh, [3, 3]."""

    archive: Path
    model: str
    name: str
    tags: tuple[str, ...]
    category: str
    size: tuple[float, float, float]
    creator: str
    licence: str
    source: str
    rotation: NDArray[np.float64] | None

    @property
    def credit(self) -> str:
        """Whom to name, for what, and the licence."""
        return f'"{self.name}" by {self.creator}, {self.source}, {self.licence}, made into voxels'

    @property
    def file(self) -> str:
        """A name for the mesh that no other piece has."""
        return re.sub(r"[^\w/.-]+", "_", self.model.strip("/"))


def archives(folder: Path = PLACE) -> list[Path]:
    """The files of furniture in a folder. Raises ConfigError where there are none."""
    found = sorted(folder.glob("*.sh3f"))
    if not found:
        raise ConfigError(
            f"{folder}: holds no furniture of Sweet Home 3D; install Debian's package {PACKAGE}, or give the folder "
            "that holds its .sh3f files"
        )
    return found


def licence_of(text: str) -> str | None:
    """The short name of a licence that lets a model be trained and be shared; None for any other."""
    lower = " ".join(text.lower().split())
    if BARRED.search(lower):
        return None
    return next((short for pattern, short in FREE.items() if re.search(pattern, lower)), None)


def read_catalogue(archive: Path) -> tuple[list[Piece], int]:
    """The pieces of a file of furniture that may be used, and how many may not.

    Raises:
        ConfigError: it is damaged, or no file of furniture.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            text = opened.read(CATALOGUE).decode("latin-1")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{archive}: is no catalogue of furniture ({error}); install {PACKAGE} again") from error
    head = dict(_HEAD.findall(text))
    rows: dict[int, dict[str, str]] = {}
    for key, number, value in _ROW.findall(text):
        rows.setdefault(int(number), {})[key] = _unescaped(value).strip()
    pieces = []
    for row in rows.values():
        licence = licence_of(row.get("license") or head.get("license", ""))
        if licence is not None and "model" in row and all(key in row for key in _SIZE):
            pieces.append(_piece(archive, row, licence, _unescaped(head.get("name", archive.stem)).strip()))
    return pieces, len(rows) - len(pieces)


def write_meshes(pieces: list[Piece], folder: Path) -> None:
    """Writes the pieces as OBJ files of bare surfaces, turned and sized as their catalogue says.

    Raises:
        OSError: they cannot be written.
        ConfigError: a mesh is not in its file.
    """
    by_archive: dict[Path, list[Piece]] = {}
    for piece in pieces:
        by_archive.setdefault(piece.archive, []).append(piece)
    for archive, chosen in by_archive.items():
        with zipfile.ZipFile(archive) as opened:
            for piece in chosen:
                path = folder / piece.file
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lines = opened.read(piece.model.lstrip("/")).decode("latin-1").splitlines()
                except KeyError as error:
                    raise ConfigError(f"{archive}: lacks {piece.model}; install {PACKAGE} again") from error
                path.write_text("\n".join(_placed(lines, piece)) + "\n", encoding="utf-8")


def _piece(archive: Path, row: dict[str, str], licence: str, source: str) -> Piece:
    numbers = [float(value) for value in row["modelRotation"].split()] if row.get("modelRotation") else []
    width, height, depth = (float(row[key]) for key in _SIZE)
    tags = tuple(tag for part in row.get("tags", "").split(",") if (tag := part.strip()))
    return Piece(
        archive, row["model"], row["name"], tags,
        row.get("category", ""), (width, height, depth), row.get("creator") or "an unnamed author", licence, source,
        np.array(numbers).reshape(3, 3) if len(numbers) == 9 else None,
    )  # fmt: skip


def _placed(lines: list[str], piece: Piece) -> Iterator[str]:
    """The lines of vertices and faces alone, the vertices turned and scaled to the piece's size."""
    rows = [line.split()[1:4] for line in lines if line.startswith("v ")]
    vertices = np.array(rows, np.float64).reshape(-1, 3)
    if piece.rotation is not None:
        vertices = vertices @ piece.rotation.T
    if len(vertices):
        extent = np.maximum(vertices.max(0) - vertices.min(0), 1e-9)
        vertices = (vertices - vertices.min(0)) * (np.array(piece.size) / extent)
    yield from (f"v {x:.6g} {y:.6g} {z:.6g}" for x, y, z in vertices)
    for line in lines:
        if line.startswith("f "):
            yield "f " + " ".join(corner.split("/")[0] for corner in line.split()[1:])


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
