"""The surface measures of many shapes as rows of a table, and the files that keep those of generated shapes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.shape import Voxels
from training.meshes.store import write_text
from training.shapes import sample, voxelize
from training.surface import Likeness, Surface, mean_likeness, mean_surface, surface

PLANAR_KINDS = frozenset({"cube", "pyramid", "table", "chair", "bookshelf", "house"})
"""Kinds whose true faces are planes, but for a few of their attributes."""
HEAD = (
    f"{'surface':38s} {'shapes':>6s} {'rough':>6s} {'holes':>6s} {'1piece':>6s} {'normal':>6s} "
    f"{'IoU':>6s} {'thin':>6s} {'dist':>6s}"
)


@dataclass(frozen=True)
class Measured:
    """A shape's measures. planar: whether its true faces are planes; without likeness there is no true shape."""

    kind: str
    planar: bool
    surface: Surface
    likeness: Likeness | None = None


def row(name: str, measured: Sequence[Measured]) -> str:
    """The means of some shapes as one line below HEAD: roughness of planar ones alone, "-" for what nobody knows.

    Normals are compared with the true surface where it is known, else with the shape's own.
    """
    if not measured:
        return f"{name:38s} {0:6d}"
    whole = mean_surface([m.surface for m in measured])
    planar = [m.surface.roughness for m in measured if m.planar]
    known = [m.likeness for m in measured if m.likeness is not None]
    like = mean_likeness(known) if known else {}
    cells = [
        f"{np.mean(planar):6.2f}" if planar else f"{'-':>6s}",
        f"{whole['holes']:6.0%}",
        f"{whole['one_piece']:6.0%}",
        f"{like.get('normals', whole['normals']):5.1f}°",
        *(f"{like[key]:6.1%}" if key in like else f"{'-':>6s}" for key in ("iou", "thin")),
        f"{like['distance']:6.2f}" if like else f"{'-':>6s}",
    ]
    return f"{name:38s} {len(measured):6d} {' '.join(cells)}"


def of_generated(kind: str, shape: Voxels) -> Measured:
    """The measures of a shape that has no true one."""
    return Measured(kind, kind in PLANAR_KINDS, surface(shape))


def of_training(kinds: Sequence[str]) -> list[Measured]:
    """The same of one training shape of each kind."""
    measured = []
    for number, kind in enumerate(kinds):
        made = voxelize(sample(number, kind))
        measured.append(of_generated(kind, Voxels(made.fine_ijk.numpy(), made.fine_normal.numpy(), 1 / 128)))
    return measured


def write_measured(measured: Measured, path: Path) -> None:
    """Keeps the measures of a shape without a true one."""
    write_text(path, json.dumps({"kind": measured.kind, **asdict(measured.surface)}))


def read_measured(paths: Sequence[Path]) -> list[Measured]:
    """What `write_measured` kept, of those files that are there."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    return [Measured(kind := values.pop("kind"), kind in PLANAR_KINDS, Surface(**values)) for values in found]
