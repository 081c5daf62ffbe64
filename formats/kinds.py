"""What a kind of file is: what it holds, in which frame, and which options it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from formats.about import About
from formats.materials import KNOWN
from formats.options import OptionError, Options, Origin, Up
from formats.palettes import blocks_of
from formats.surface import Surface

Kind = Literal["stages", "points", "surface", "blocks", "report"]
Unit = Literal["world", "metre", "millimetre", "block"]

_EVERY = frozenset({"size", "up", "origin", "mirror", "clean", "levels"})
_BLOCK = re.compile(r"[a-z0-9_.-]+:[a-z0-9_./-]+")
_FILLED = frozenset({"fill", "thickness"})


@dataclass(frozen=True)
class Frame:
    """The axes and the unit of a kind of file.

    Attributes:
        ups: Axes that may be up; the first one is the convention.
        origins: Where 0 may be; the first one is the convention.
        unit: Of lengths. A shape is at most 1 long in world units, and so in metres.
    """

    ups: tuple[Up, ...] = ("y", "z")
    origins: tuple[Origin, ...] = ("centre", "ground", "corner")
    unit: Unit = "world"


@dataclass(frozen=True)
class Points:
    """Centres of voxels in the frame and unit of the file, xyz and normal float32 [N, 3]; colour uint8 [N, 3], sRGB."""

    xyz: NDArray[np.float32]
    normal: NDArray[np.float32]
    colour: NDArray[np.uint8]


@dataclass(frozen=True)
class Skin:
    """A closed surface in the frame and unit of the file, and the colours of its vertices, uint8 [V, 3], sRGB."""

    surface: Surface
    colour: NDArray[np.uint8]


@dataclass(frozen=True)
class Format:
    """One kind of file: its name in `format=`, what it is, and how a shape is written as one.

    Attributes:
        name: How `format=` names it.
        suffix: Ending of a file's name, with its dot.
        media_type: How the header Accept names it.
        description: What it holds, in a few words.
        kind: What `write` takes: the whole `Shape` ("stages"), `Points`, a `Skin` ("surface"), `Blocks`, or what is
            known of the shape, as JSON has it ("report"). Points, surfaces and blocks are in the frame of the file
            already: a writer turns, moves and scales nothing.
        write: Gives the bytes of a file. It may take seconds for a large shape.
        frame: The file's axes and unit.
        aliases: Other media types by which clients ask for it.
        coloured: Whether it holds colours.
        lit: Whether what shows it lights it, so that its colours hold no light.
        minecraft: Whether it names blocks of Minecraft, so that its palette is made of these.
        named: Whether it names blocks at all: its palette is made of Minecraft's, but a list may name others.
    """

    name: str
    suffix: str
    media_type: str
    description: str
    kind: Kind
    write: Callable[[Any, About], bytes]
    frame: Frame = Frame()
    aliases: tuple[str, ...] = ()
    coloured: bool = False
    lit: bool = False
    minecraft: bool = False
    named: bool = False

    @property
    def options(self) -> frozenset[str]:
        """Names of the options that it takes."""
        scaled = {"length_mm"} if self.frame.unit == "millimetre" else set()
        painted = {"palette"} if self.coloured else set()
        every = _EVERY - {"levels", "origin"} if self.kind == "report" else _EVERY
        return every | scaled | painted | ({"faces"} if self.kind == "surface" else _FILLED)

    def check(self, options: Options) -> None:
        """Lets pass what the format takes.

        Raises:
            OptionError: an option means nothing for it; the text names every such one.
        """
        given = options.given()
        faults = [f"{name} does not apply to {self.name}" for name in given if name not in self.options]
        for name, allowed in (("up", self.frame.ups), ("origin", self.frame.origins)):
            if given.get(name, allowed[0]) not in allowed:
                faults.append(f"{name} is {' or '.join(allowed)} in {self.name}")
        if self.minecraft and (unknown := _not_minecrafts(options.palette)):
            faults.append(f"palette names {unknown!a}, and {self.name} needs names such as minecraft:stone")
        if faults:
            raise OptionError("; ".join(faults))


def _not_minecrafts(palette: str | None) -> str | None:
    """A name in a palette's list that no block of Minecraft can have."""
    if palette is None or ("=" not in palette and ":" not in palette):
        return None
    return next((block.name for block in blocks_of(palette, KNOWN) if not _BLOCK.fullmatch(block.name)), None)
