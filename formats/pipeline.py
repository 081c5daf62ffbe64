"""From a shape and options to the bytes of a file: edited, brought into the file's frame, painted, written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.about import About
from formats.blocks import Blocks
from formats.editing import ascending, halved, mirrored, placed, turned, without_crumbs
from formats.filling import filled
from formats.kinds import Format, Points, Skin
from formats.limits import check_size
from formats.options import DEFAULT_THICKNESS, LEAST_FACES, Options, Origin, Up
from formats.paint import Paint, Style, painted
from formats.report import report, size_of
from formats.resampling import resampled
from formats.simplifying import simplified
from formats.surface import Surface, surface
from formats.zipping import zipped
from models.errors import ShapeError
from models.shape import Shape, Voxels

LENGTH_MM = 100.0
"""Longest side of what is printed, where nobody says another."""


@dataclass(frozen=True)
class File:
    """A file, and what became known of the shape on the way: short texts for headers, by name."""

    content: bytes
    facts: dict[str, str] = field(default_factory=dict)


def file_of(format_: Format, shape: Shape, version: str, options: Options | None = None) -> File:
    """A shape as a file in a format.

    Args:
        format_: The format.
        shape: The shape.
        version: That of the service.
        options: What else was asked for.

    Raises:
        OptionError: the format does not take these options.
        ShapeError: the shape is too large for the format or for an option, or has no voxels where some are needed.
    """
    options = options or Options()
    format_.check(options)
    if not len(shape.finest) and (options.given() or format_.kind != "stages"):
        raise ShapeError("The shape has no voxel: there is nothing to write.")
    work = _Work(format_, shape, version, options)
    files = list(work.files())
    if options.levels == 1:
        return File(files[0], work.facts)
    levels = {f"level-{level}{format_.suffix}": content for level, content in enumerate(files)}
    return File(zipped(levels), work.facts)


class _Work:
    """One file on its way."""

    def __init__(self, format_: Format, shape: Shape, version: str, options: Options) -> None:
        self._format = format_
        self._shape = shape
        self._version = version
        self._options = options
        self._up: Up = options.up or format_.frame.ups[0]
        self._origin: Origin = options.origin or format_.frame.origins[0]
        self._style = Style(
            options.palette, shape.prompt, minecraft=format_.minecraft or format_.named, lit=format_.lit
        )
        self.facts: dict[str, str] = {}

    def files(self) -> Iterator[bytes]:
        """The file, or those of all levels, the finest one first."""
        match self._format.kind:
            case "stages":
                return self._stages()
            case "surface":
                return self._skins()
            case "report":
                return self._report()
            case "points":
                return (self._write(self._points(voxels), voxels) for voxels in self._levels())
            case "blocks":
                return (self._write(self._blocks(voxels), voxels) for voxels in self._levels())

    def _write(self, thing: Shape | Points | Skin | Blocks | dict[str, Any], voxels: Voxels) -> bytes:
        about = About(self._version, self._shape.seed, self._shape.prompt, voxels.voxel_size, self._shape.models)
        return self._format.write(thing, about)

    def _stages(self) -> Iterator[bytes]:
        size = self._options.size
        fine = self._shape.fine and self._sorted(self._edited(self._shape.fine, size))
        coarse = self._sorted(self._edited(self._shape.coarse, None if fine else size))
        shape = replace(self._shape, coarse=coarse, fine=fine)
        for level in range(self._options.levels):
            if level:
                shape = replace(shape, coarse=halved(shape.coarse), fine=shape.fine and halved(shape.fine))
            yield self._write(shape, shape.finest)

    def _report(self) -> Iterator[bytes]:
        voxels = turned(self._finest(), self._up)
        known = report(voxels, filled=self._options.fill != "shell")
        self.facts |= {
            "Pieces": str(known["pieces"]), "Holes": str(known["holes"]),
            "Watertight": "yes" if known["watertight"] else "no",
        }  # fmt: skip
        removed = {"removed": int(self.facts["Removed"])} if self._options.clean else {}
        yield self._write({**known, **removed, "up": self._up}, voxels)

    def _levels(self) -> Iterator[Voxels]:
        return _halvings(self._framed(self._finest()), self._options.levels)

    def _finest(self) -> Voxels:
        voxels = self._edited(self._shape.finest, self._options.size)
        x, y, z = size_of(voxels)
        sides = (x, y, z) if self._up == "y" else (x, z, y)
        self.facts |= {"Size": "x".join(map(str, sides)), "Voxels": str(len(voxels))}
        return voxels

    def _edited(self, voxels: Voxels, size: int | None) -> Voxels:
        options = self._options
        if options.clean:
            voxels, removed = without_crumbs(voxels)
            self.facts["Removed"] = str(removed)
        if size is not None:
            if options.fill != "shell" or self._format.kind in ("surface", "report"):
                check_size(np.array(size_of(voxels)), size)
            voxels = resampled(voxels, size)
        if options.mirror is not None:
            voxels = mirrored(voxels, options.mirror)
        return filled(voxels, options.fill, options.thickness or DEFAULT_THICKNESS)

    def _sorted(self, voxels: Voxels) -> Voxels:
        framed = self._framed(voxels)
        return framed if self._up == "y" else ascending(framed)

    def _framed(self, voxels: Voxels) -> Voxels:
        return placed(turned(voxels, self._up), self._origin, self._up)

    def _blocks(self, voxels: Voxels) -> Blocks:
        paint = self._paint(voxels.ijk, voxels.normal)
        edge = voxels.voxel_size * self._scale(_extent(voxels) * voxels.voxel_size)
        return Blocks(voxels.ijk.astype(np.int32), paint.index, paint.palette, edge)

    def _points(self, voxels: Voxels) -> Points:
        return Points(voxels.xyz, voxels.normal, self._paint(voxels.ijk, voxels.normal).colour)

    def _skins(self) -> Iterator[bytes]:
        """Surfaces of all levels, moved and scaled as the finest one is."""
        move: NDArray[np.float64] | None = None
        scale = 1.0
        for level, voxels in enumerate(_halvings(self._finest(), self._options.levels)):
            made = _turned_surface(self._surface(voxels, level), self._up)
            if move is None:
                scale = self._scale(float(np.ptp(made.vertices, axis=0).max()))
                move = self._move(made.vertices)
            self.facts.setdefault("Faces", str(len(made.faces)))
            paint = self._paint(made.vertices, made.normals)
            vertices = made.vertices
            if move.any() or scale != 1.0:
                vertices = ((vertices - move) * scale).astype(np.float32)
            yield self._write(Skin(replace(made, vertices=vertices), paint.colour), voxels)

    def _surface(self, voxels: Voxels, level: int) -> Surface:
        if self._options.faces is None:
            return surface(voxels)
        return simplified(voxels, max(self._options.faces >> (2 * level), LEAST_FACES))

    def _move(self, vertices: NDArray[np.float32]) -> NDArray[np.float64]:
        """What lies at 0 of the file."""
        low: NDArray[np.float64] = vertices.min(axis=0).astype(np.float64)
        match self._origin:
            case "centre":
                return np.zeros(3)
            case "ground":
                return low * _axis(self._up)
            case "corner":
                return low

    def _scale(self, longest: float) -> float:
        """Lengths of the file in one unit of the world, for a shape that is so long there."""
        if self._format.frame.unit != "millimetre":
            return 1.0
        return (self._options.length_mm or LENGTH_MM) / longest

    def _paint(self, place: NDArray[np.number], normal: NDArray[np.float32]) -> Paint:
        """Paint of places [N, 3] with normals, both in the frame of the file."""
        height = place[:, np.flatnonzero(_axis(self._up))[0]].astype(np.float32)
        height = (height - height.min()) / max(float(np.ptp(height)), 1e-6)
        if self._up == "z":
            normal = np.stack([normal[:, 0], normal[:, 2], -normal[:, 1]], axis=1)
        return painted(height, normal, self._style)


def _axis(up: Up) -> NDArray[np.float64]:
    return np.array([0.0, up == "y", up == "z"])


def _extent(voxels: Voxels) -> int:
    return int((voxels.ijk.max(axis=0).astype(int) - voxels.ijk.min(axis=0) + 1).max())


def _halvings(voxels: Voxels, levels: int) -> Iterator[Voxels]:
    yield voxels
    for _ in range(levels - 1):
        voxels = halved(voxels)
        yield voxels


def _turned_surface(made: Surface, up: Up) -> Surface:
    if up == "y":
        return made
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    return replace(made, vertices=made.vertices @ turn.T, normals=made.normals @ turn.T)
