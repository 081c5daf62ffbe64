"""Which of the crossworld engine's materials stand for the blocks of a palette.

The engine knows 128 materials by name (assets/materials.json in its repository) and 128 more that are only colours:
from 128 on, two bits of red, three of green and two of blue. Here are those named ones that shapes are made of; what
glows, flows, can be looked through or belongs to bodies is never chosen by its colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from formats.blocks import Block

_NAMED = """
18 dirt 8b4513; 19 grass 3a7d3a; 20 stone 808080; 21 cobblestone 6e6e6e; 22 sand edc9af; 23 sandstone c9a770;
24 gravel 888888; 25 clay a0a0a0; 26 snow ffffff; 28 obsidian 1a0f2e; 30 granite 9c5d3d; 31 diorite bfbfbf;
32 andesite 6d6d6d; 33 marble e8e8e8; 34 limestone dad0c0; 35 basalt 2b2b2b; 36 wood_oak a0826d;
37 wood_spruce 6b5535; 38 wood_birch d7cb8d; 39 wood_jungle 8b6f47; 40 wood_acacia b8683e;
41 wood_dark_oak 4a3829; 42 planks_oak c4a672; 43 planks_spruce 7c5d3e; 44 planks_birch e3d9a8;
45 leaves 2d5016; 46 leaves_birch 5d8f3a; 47 leaves_spruce 3d6030; 48 coal 1a1a1a; 49 iron d8d8d8;
50 gold ffd700; 51 copper b87333; 52 silver c0c0c0; 53 bronze cd7f32; 54 steel 9090a0; 56 brick 8b3a3a;
57 concrete 9e9e9e; 58 concrete_white eeeeee; 59 concrete_black 1e1e1e; 60 asphalt 333333; 63 ceramic e0d0c0;
72 fabric_white f0f0f0; 73 fabric_red dc143c; 74 fabric_blue 1e90ff; 75 fabric_green 228b22;
76 fabric_yellow ffd700; 77 fabric_purple 8b008b; 78 fabric_orange ff8c00; 79 fabric_pink ff69b4;
80 fabric_black 1c1c1c; 81 wool_white e0e0e0; 82 wool_gray 808080; 83 wool_red b3312c; 84 wool_blue 3c44aa;
85 sponge cccc55; 86 moss 597d35; 90 bamboo 8fbc8f; 95 hay d4af37; 102 charcoal 2f2f2f; 118 emerald 50c878;
119 diamond b9f2ff; 125 quartz ffffff
"""
_WORDS = {"log": "wood", "bricks": "brick", "stem": "wood"}
_COLOURS = 128


def materials(palette: Sequence[Block]) -> NDArray[np.uint8]:
    """The material of each block, uint8 [palette]: one of the same name, or else the one of the nearest colour.

    Names are the same if they have the same words, such as `minecraft:oak_planks` and `planks_oak`.
    """
    number, colour = _table()
    by_words = {_words(name): index for index, name, _ in _named()}
    chosen = [by_words.get(_words(block.name)) or number[_nearest(block.colour, colour)] for block in palette]
    return np.array(chosen, np.uint8)


def _named() -> list[tuple[int, str, tuple[int, ...]]]:
    rows = (entry.split() for entry in _NAMED.split(";"))
    return [(int(number), name, tuple(bytes.fromhex(colour))) for number, name, colour in rows]


def _table() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers [n] and colours [n, 3] of all that may be chosen by colour."""
    named = _named()
    code = np.arange(256 - _COLOURS)
    levels = (code >> 5) / 3, (code >> 2 & 7) / 7, (code & 3) / 3
    colours = np.concatenate([[colour for _, _, colour in named], 255.0 * np.stack(levels, axis=1)])
    return np.concatenate([[number for number, _, _ in named], code + _COLOURS]), colours


def _nearest(colour: tuple[int, int, int], colours: NDArray[np.float64]) -> int:
    """By squared differences weighted as eyes see them, with the mean red deciding between red and blue."""
    difference = colours - np.array(colour)
    red = (colours[:, 0] + colour[0]) / 512
    weights = np.stack([2 + red, np.full_like(red, 4), 3 - red], axis=1)
    return int(np.argmin((weights * difference**2).sum(axis=1)))


def _words(name: str) -> frozenset[str]:
    words = name.partition("[")[0].rpartition(":")[2].split("_")
    return frozenset(_WORDS.get(word, word) for word in words if word not in ("block", "stripped"))
