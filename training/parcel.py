"""A training under way as a few small files, to go on with elsewhere: averaged weights in half precision, in pieces.

Moments of the optimizer are left out: they are three quarters of a state, and a stage that goes on finds them again
in some steps. Of a training that is done the models are packed, which hold all that others can learn from, and the
state of a stage whose model was written on another machine.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from models.errors import ConfigError

PIECE = 15 * 1024 * 1024
"""Bytes of a piece at most."""
STATES = ("text", "coarse_vae", "fine_vae", "coarse", "fine")
WITH_MODEL = ("text", "coarse", "fine")
"""Stages that write a model when they are done."""
MODELS = "checkpoints"


def pack(run: Path, folder: Path, piece: int = PIECE) -> list[Path]:
    """Writes the training in the folder `run` as files `train.000` … into `folder`, and returns these.

    Raises:
        ConfigError: there is no training.
        OSError: a file cannot be written.
    """
    states = {name: torch.load(run / f"{name}.pt", map_location="cpu", weights_only=True)
              for name in STATES if (run / f"{name}.pt").exists()}  # fmt: skip
    if not states:
        raise ConfigError(f"{run}: holds no training; give the --run-dir of one")
    done = all(name in states and states[name]["done"] for name in STATES)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        if done:
            models = sorted(path for path in (run / MODELS).rglob("*") if path.is_file())
            for path in models:
                _add(archive, path.relative_to(run).as_posix(), path.read_bytes())
            written = {path.parent.name.partition("_")[2] for path in models}
            states = {name: states[name] for name in WITH_MODEL if name not in written}
        for name, state in states.items():
            content = io.BytesIO()
            torch.save(smaller(state), content)
            _add(archive, f"{name}.pt", content.getvalue())
    folder.mkdir(parents=True, exist_ok=True)
    content_ = packed.getbuffer()
    parts = []
    for number, start in enumerate(range(0, len(content_), piece)):
        path = folder / f"train.{number:03d}"
        path.write_bytes(content_[start : start + piece])
        parts.append(path)
    return parts


def unpack(folder: Path, run: Path) -> list[str]:
    """Puts back what `pack` has written, and returns the names of the files in `run`.

    Raises:
        ConfigError: there is no such parcel, or a piece is missing or damaged.
    """
    pieces = sorted(folder.glob("train.[0-9][0-9][0-9]"))
    content = b"".join(path.read_bytes() for path in pieces)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r") as archive:
            run.mkdir(parents=True, exist_ok=True)
            archive.extractall(run, filter="data")
            return archive.getnames()
    except tarfile.TarError as error:
        raise ConfigError(f"{folder}: holds no whole parcel of a training ({error}); fetch all its pieces") from error


def smaller(state: dict[str, Any]) -> dict[str, Any]:
    """A stage's state with averaged weights alone, in half precision."""
    kept = state["average"] or state["modules"]
    weights = {name: value.half() if value.is_floating_point() else value for name, value in kept.items()}
    return {**state, "modules": weights, "average": weights, "optimizer": None}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def sizes(paths: list[Path]) -> Iterator[str]:
    """Each file with its size, as words."""
    return (f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in paths)
