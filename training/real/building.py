"""The furniture of Sweet Home 3D as a folder of meshes with a table of captions, which scripts/dataset reads."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from training.meshes.captions import TABLES
from training.real.catalogue import Piece, archives, read_catalogue, write_meshes
from training.real.words import used, words_of_pieces

NAME = "sweethome3d"


@dataclass(frozen=True)
class Furniture:
    """pieces: those that are used; barred: without a licence that lets them; left_out: that show nothing fitting."""

    pieces: list[Piece]
    barred: int
    left_out: int


def furniture(folder: Path) -> Furniture:
    """What the files in a folder hold. Raises ConfigError where there are none, or one is damaged."""
    pieces: list[Piece] = []
    barred = 0
    for archive in archives(folder):
        free, others = read_catalogue(archive)
        pieces += free
        barred += others
    chosen = [piece for piece in pieces if used(piece)]
    return Furniture(chosen, barred, len(pieces) - len(chosen))


def write_folder(found: Furniture, folder: Path) -> None:
    """Writes the meshes of all pieces and their table of captions. Raises OSError if they cannot be written."""
    write_meshes(found.pieces, folder)
    with (folder / TABLES[0]).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "caption", "kind", "credit"))
        for piece, words in zip(found.pieces, words_of_pieces(found.pieces), strict=True):
            table.writerows((piece.file, caption, words.kind, words.credit) for caption in words.captions)
