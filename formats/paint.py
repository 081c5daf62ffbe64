"""Colours of a shape. The models know none: these come from its height, its normals, and words of its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from formats.blocks import Block
from formats.materials import BY_NAME, KNOWN, Colour, Material, material_of
from formats.palettes import blocks_of

_SHADES = 64
_LEVELS = 6
"""Of each of red, green and blue where a colour tells a direction."""
_LAMP = np.array([0.62, 0.7, 0.35], np.float32)
"""Where the light comes from: above, to the right, a little in front; of unit length."""
_NIGHT: Colour = (38, 34, 66)
_DAY: Colour = (255, 248, 228)
"""What shadow and light mix into a colour."""
_HEIGHTS = tuple(BY_NAME[name].blocks[0] for name in ("purple", "blue", "cyan", "lime", "yellow"))
_DIRECTIONS = tuple(BY_NAME[name].blocks[0] for name in ("red", "cyan", "lime", "magenta", "blue", "yellow"))
"""For +x, -x, +y, -y, +z, -z."""

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Paint:
    """An entry of a palette for each of N places, uint8 [N]; the palette has at most 255 entries, and all are used."""

    index: Bytes
    palette: tuple[Block, ...]

    @property
    def colour(self) -> Bytes:
        """Red, green and blue of each place, uint8 [N, 3], sRGB."""
        return np.array([block.colour for block in self.palette], np.uint8)[self.index]


@dataclass(frozen=True)
class Style:
    """How a shape is painted.

    palette: what the option says, None for the default. prompt: whose words choose the material. minecraft: whether the
    palette is made of Minecraft's blocks. lit: whether whoever shows it lights it, so that colours hold no light.
    """

    palette: str | None = None
    prompt: str = ""
    minecraft: bool = False
    lit: bool = False


def painted(height: Floats, normal: Floats, style: Style) -> Paint:
    """The paint of N places.

    Args:
        height: Of each place, 0 at the lowest and 1 at the highest, [N].
        normal: Unit normals with y up, [N, 3].
        style: How.
    """
    match style.palette:
        case "height":
            blocks = _HEIGHTS if style.minecraft else _ramp("height", [block.colour for block in _HEIGHTS])
            return _used(_spread(height, len(blocks)), blocks)
        case "direction":
            return _by_direction(normal, minecraft=style.minecraft)
        case None:
            return _shaded(height, normal, material_of(style.prompt), style)
        case "minecraft":
            return _shaded(height, normal, material_of(style.prompt), replace(style, minecraft=True))
        case name if name in BY_NAME:
            return _shaded(height, normal, BY_NAME[name], style)
        case text:
            blocks = blocks_of(text, KNOWN)
            return _used(_spread(height, len(blocks)), blocks)


def _shaded(height: Floats, normal: Floats, material: Material, style: Style) -> Paint:
    light = 0.5 if style.lit else 0.5 + 0.5 * (normal @ _LAMP)
    shade = (0.8 * light + 0.2 * height).astype(np.float32)
    if style.minecraft:
        return _used(_spread(shade, len(material.blocks)), material.blocks)
    dark = _darker(_mixed(material.colour, _NIGHT, 0.8), material.colour)
    bright = _mixed(material.colour, _DAY, 0.45)
    blocks = _ramp(material.name, [dark, material.colour, bright], (0.0, 0.7, 1.0))
    return _used(_spread(shade, len(blocks)), blocks)


def _by_direction(normal: Floats, *, minecraft: bool) -> Paint:
    if minecraft:
        axis = np.abs(normal).argmax(axis=1)
        negative = normal[np.arange(len(normal)), axis] < 0.0
        return _used((2 * axis + negative).astype(np.uint8), _DIRECTIONS)
    level = np.rint((_LEVELS - 1) * (0.5 + 0.5 * normal)).clip(0, _LEVELS - 1).astype(np.uint8)
    index = (level[:, 0] * _LEVELS + level[:, 1]) * _LEVELS + level[:, 2]
    steps = [round(255 * step / (_LEVELS - 1)) for step in range(_LEVELS)]
    blocks = [Block(f"direction-{r:02x}{g:02x}{b:02x}", (r, g, b)) for r in steps for g in steps for b in steps]
    return _used(index, blocks)


def _spread(share: Floats, count: int) -> Bytes:
    """Which of so many entries belongs to a share of 0 … 1."""
    return (share * count).clip(0, count - 1).astype(np.uint8)


def _ramp(name: str, stops: Sequence[Colour], places: Sequence[float] | None = None) -> list[Block]:
    """Colours from the first stop to the last one; the stops' places go from 0 to 1, evenly if none are given."""
    at = np.linspace(0.0, 1.0, _SHADES)
    places = np.linspace(0.0, 1.0, len(stops)).tolist() if places is None else places
    columns = [np.rint(np.interp(at, places, column)).astype(int).tolist() for column in zip(*stops, strict=True)]
    return [Block(f"{name}-{index}", (r, g, b)) for index, (r, g, b) in enumerate(zip(*columns, strict=True))]


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    r, g, b = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return r, g, b


def _darker(one: Colour, other: Colour) -> Colour:
    r, g, b = map(min, one, other)
    return r, g, b


def _used(index: Bytes, blocks: Sequence[Block]) -> Paint:
    """The paint with the entries that are used alone."""
    used = np.flatnonzero(np.bincount(index, minlength=len(blocks)))
    place = np.zeros(len(blocks), np.uint8)
    place[used] = np.arange(len(used))
    return Paint(place[index], tuple(blocks[entry] for entry in used.tolist()))
