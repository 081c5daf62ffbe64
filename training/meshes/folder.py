"""Which files of a folder are meshes, and which hold meshes in a form that cannot be read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from formats.meshes import SUFFIXES

OTHERS = frozenset(
    (
        ".3ds", ".7z", ".abc", ".blend", ".c4d", ".dae", ".dxf", ".fbx", ".gz", ".iges", ".igs", ".ma", ".max", ".mb",
        ".rar", ".skp", ".sldprt", ".step", ".stp", ".tar", ".tgz", ".usd", ".usda", ".usdc", ".usdz", ".vtk", ".wrl",
        ".x3d", ".zip",
    )
)  # fmt: skip
"""Ends of the names of files that hold meshes, and are to be converted or unpacked first."""


@dataclass
class Found:
    """meshes: paths inside the folder, sorted; refused: sentences by path; other: files of OTHERS by the end."""

    meshes: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    other: dict[str, int] = field(default_factory=dict)


def look(folder: Path, out: Path) -> Found:
    """Looks through a folder and what it links to; the set itself, at `out`, and hidden files are passed over."""
    found, other, own = Found(), Counter[str](), os.path.realpath(out)

    def closed(error: OSError) -> None:
        place = Path(error.filename or folder).relative_to(folder).as_posix()
        found.refused[shown(place)] = f"cannot be looked into ({error.strerror}): correct that, run the command again"

    for path in _files(folder, own, closed):
        name, suffix = path.relative_to(folder).as_posix(), path.suffix.lower()
        if suffix in OTHERS:
            other[suffix[1:]] += 1
        elif suffix not in SUFFIXES or not path.is_file():
            continue
        elif name != shown(name):
            found.refused[shown(name)] = "has a name that is no UTF-8: rename it"
        else:
            found.meshes.append(name)
    found.meshes.sort()
    found.other = dict(other.most_common())
    return found


def _files(folder: Path, own: str, closed: Callable[[OSError], None]) -> Iterator[Path]:
    """All files that are not hidden, each folder once under its own name, so that links may go round in a circle."""
    seen, todo = {own}, [str(folder)]
    for top in todo:
        for place, folders, files in os.walk(top, onerror=closed):
            real = os.path.realpath(place)
            folders[:] = sorted(name for name in folders if not name.startswith(".")) if real not in seen else []
            if real in seen:
                continue
            seen.add(real)
            todo += [path for name in folders if os.path.islink(path := os.path.join(place, name))]
            yield from (Path(place, name) for name in files if not name.startswith("."))


def shown(name: str) -> str:
    """A file's name as text, with a mark in place of bytes that are none."""
    return os.fsencode(name).decode("utf-8", "replace")


def listed(counted: Mapping[str, int]) -> str:
    """Files by the ends of their names, in words."""
    return ", ".join(f"{count} {suffix}" for suffix, count in counted.items())
