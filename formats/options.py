"""What a file may be asked for beside its format: how large, filled how, which axis up, in which colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

from formats.materials import BY_NAME, KNOWN
from formats.palettes import blocks_of

Fill = Literal["shell", "solid", "hollow"]
Up = Literal["y", "z"]
Origin = Literal["centre", "ground", "corner"]
Axis = Literal["x", "y", "z"]

MOST_SIZE = 1024
MOST_THICKNESS = 64
DEFAULT_THICKNESS = 2
MOST_LEVELS = 8
LEAST_FACES, MOST_FACES = 100, 10_000_000
MOST_MM = 10_000.0
MOST_PALETTE = 4000
_SHOWN = 40


class OptionError(ValueError):
    """Options that mean nothing, or that do not go together; the text names every one of them."""


@dataclass(frozen=True)
class Rule:
    """One option: what it may be, in words and as a JSON schema, and what it does.

    Attributes:
        words: What a value should be, as in "size should be …".
        schema: Its JSON schema.
        meaning: What it does, in a sentence without a period.
        allows: Whether a value is one.
        read: A value from the text in a URL; text that is none is left as it is, and allowed by nobody.
    """

    words: str
    schema: dict[str, Any]
    meaning: str
    allows: Callable[[Any], bool]
    read: Callable[[str], Any] = str


def _whole(low: int, high: int, meaning: str) -> Rule:
    return Rule(
        f"a whole number from {low:,} to {high:,}",
        {"type": "integer", "minimum": low, "maximum": high},
        meaning,
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        lambda text: int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text,
    )


def _one_of(kind: Any, meaning: str) -> Rule:
    choices = get_args(kind)
    return Rule(
        f"{', '.join(choices[:-1])} or {choices[-1]}",
        {"enum": list(choices)},
        meaning,
        lambda value: value in choices,
        str.lower,
    )


def _length(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MOST_MM


def _is_palette(text: str) -> bool:
    if text in ("height", "direction", "minecraft", *BY_NAME):
        return True
    try:
        return bool(blocks_of(text, KNOWN)) and len(text) <= MOST_PALETTE
    except ValueError:
        return False


RULES: dict[str, Rule] = {
    "size": _whole(1, MOST_SIZE, "voxels along the longest side: the finest shape is resampled, up or down"),
    "fill": _one_of(Fill, "the shell as the models make it, with its inside, or with a wall inside"),
    "thickness": _whole(1, MOST_THICKNESS, f"voxels of the wall of fill=hollow, {DEFAULT_THICKNESS} by default"),
    "up": _one_of(Up, "the axis that is up"),
    "origin": _one_of(
        Origin, "0 is in the middle of the models' cube, on the ground below it, or at the shape's lowest corner"
    ),
    "mirror": _one_of(
        Axis, "makes the shape symmetric: x left and right, y bottom and top, z back and front, whatever is up"
    ),
    "clean": Rule(
        "true or false",
        {"type": "boolean"},
        "leaves out pieces that touch nothing and hold less than a hundredth of the voxels",
        lambda value: isinstance(value, bool),
        lambda text: {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text),
    ),
    "levels": _whole(1, MOST_LEVELS, "so many files in a ZIP, each half as fine as the one before"),
    "length_mm": Rule(
        f"a number above 0, at most {MOST_MM:,.0f}",
        {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_MM},
        "the longest side in millimetres, 100 by default",
        _is_length,
        _length,
    ),
    "palette": Rule(
        f"height, direction, minecraft, a material ({', '.join(BY_NAME)}) or blocks such as "
        "minecraft:dirt=866043,minecraft:stone",
        {"type": "string", "maxLength": MOST_PALETTE},
        "colours: by height, by direction, of the blocks that files for Minecraft have, of a material, or blocks with "
        "their colours from the bottom to the top; by default those of the material that the prompt means",
        lambda value: isinstance(value, str) and _is_palette(value),
    ),
    "faces": _whole(LEAST_FACES, MOST_FACES, "the surface is simplified to at most about so many triangles"),
}


@dataclass(frozen=True)
class Options:
    """What a file was asked for. What is None is left to the format.

    Raises:
        OptionError: values that `RULES` does not allow, or that do not go together.
    """

    size: int | None = None
    fill: Fill = "shell"
    thickness: int | None = None
    up: Up | None = None
    origin: Origin | None = None
    mirror: Axis | None = None
    clean: bool = False
    levels: int = 1
    length_mm: float | None = None
    faces: int | None = None
    palette: str | None = None

    def __post_init__(self) -> None:
        faults = [
            f"{name} should be {RULES[name].words}{_instead_of(value)}"
            for name, value in self.given().items()
            if not RULES[name].allows(value)
        ]
        if not faults and self.thickness is not None and self.fill != "hollow":
            faults.append("thickness means nothing without fill=hollow")
        if faults:
            raise OptionError("; ".join(faults))

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """The options in the query of a URL; names that are no options mean nothing here.

        Raises:
            OptionError: see the class.
        """
        given: dict[str, Any] = {name: RULES[name].read(text) for name, text in query.items() if name in RULES}
        return cls(**given)

    def given(self) -> dict[str, Any]:
        """The options that are not what they are by default, by name."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != each.default}


def _instead_of(value: object) -> str:
    return f", not {str(value)[:_SHOWN]!a}"
