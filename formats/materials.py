"""What a prompt says about materials: a table of words, the colour of each material, and its blocks in Minecraft.

The models know no colours. These are a guess from words, and from nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from formats.blocks import Block

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Material:
    """One material.

    name: how `palette=` names it. blocks: those of Minecraft, from dark to light, with the mean colour of each; the
    colour of the material is that of the block in the middle. words: words of a prompt that mean it. things: words that
    suggest it where no other word means a material.
    """

    name: str
    blocks: tuple[Block, ...]
    words: tuple[str, ...]
    things: tuple[str, ...] = ()

    @property
    def colour(self) -> Colour:
        """Red, green and blue, sRGB."""
        return self.blocks[len(self.blocks) // 2].colour


def _block(name: str, colour: str) -> Block:
    return Block(f"minecraft:{name}", (int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16)))


def _dyed(name: str, concrete: str, wool: str, *others: str) -> Material:
    blocks = (_block(f"{name}_concrete", concrete), _block(f"{name}_wool", wool))
    return Material(name, blocks, others if "_" in name else (name, *others))


MATERIALS = (
    Material(
        "clay", (_block("terracotta", "985e43"), _block("white_terracotta", "cdc3b4"), _block("calcite", "dfe0dc")),
        ("clay", "earthenware", "pottery"),
    ),
    Material(
        "oak", (_block("oak_wood", "6d5532"), _block("oak_planks", "a2824e"), _block("stripped_oak_wood", "b19056")),
        ("wood", "wooden", "oak", "timber", "plank", "log"),
        ("chair", "table", "bookshelf", "stool", "bench", "desk", "boat", "door", "barrel", "crate", "shelf"),
    ),
    Material(
        "dark-oak",
        (_block("dark_oak_wood", "3c2e1a"), _block("dark_oak_planks", "432b14"),
         _block("stripped_dark_oak_wood", "483824")),
        ("walnut", "mahogany", "ebony", "teak"),
    ),
    Material(
        "birch", (_block("birch_planks", "c0af79"), _block("stripped_birch_wood", "c5b076")),
        ("birch", "pine", "maple", "bamboo", "wicker", "straw", "rattan"),
    ),
    Material(
        "stone",
        (_block("cobblestone", "7f7f7f"), _block("stone", "7d7d7d"), _block("andesite", "888888"),
         _block("smooth_stone", "9e9e9e")),
        ("stone", "rock", "rocky", "cobblestone", "granite", "concrete", "cement", "slate"),
        ("castle", "tower", "ruin", "well", "wall", "bridge", "statue", "church", "temple"),
    ),
    Material(
        "brick", (_block("granite", "956755"), _block("bricks", "966153"), _block("terracotta", "985e43")),
        ("brick", "terracotta"), ("house", "chimney", "oven"),
    ),
    Material(
        "sandstone", (_block("sandstone", "d8cb9b"), _block("cut_sandstone", "d9ce9f"),
                      _block("smooth_sandstone", "dfd6aa")),
        ("sand", "sandstone", "sandy"), ("pyramid", "desert"),
    ),
    Material(
        "quartz", (_block("diorite", "bdbcbd"), _block("quartz_block", "ebe5de"), _block("smooth_quartz", "ece6df")),
        ("marble", "porcelain", "ceramic", "china", "ivory", "bone", "plaster"),
        ("mug", "cup", "teapot", "bowl", "vase", "plate", "toilet", "skull"),
    ),
    Material(
        "iron", (_block("light_gray_concrete", "7d7d73"), _block("light_gray_wool", "8e8e86"),
                 _block("iron_block", "dcdcdc")),
        ("iron", "metal", "metallic", "steel", "silver", "aluminium", "aluminum", "chrome"),
        ("hammer", "wrench", "screwdriver", "sword", "robot", "airplane", "plane", "rocket"),
    ),
    Material(
        "gold", (_block("yellow_terracotta", "ba8523"), _block("gold_block", "f6d03d")),
        ("gold", "golden", "brass"), ("crown", "trophy", "coin"),
    ),
    Material(
        "copper", (_block("brown_terracotta", "4d3323"), _block("waxed_copper_block", "c06b4f")),
        ("copper", "bronze", "rusty"),
    ),
    Material(
        "glass", (_block("light_blue_stained_glass", "6699d8"), _block("glass", "afd5db")),
        ("glass", "crystal", "ice", "icy"), ("bottle",),
    ),
    Material(
        "leaves", (_block("green_terracotta", "4c532a"), _block("moss_block", "596d2d"),
                   _block("lime_terracotta", "677534")),
        ("leafy", "mossy", "grass", "grassy", "hedge"), ("tree", "cactus", "plant", "bush", "frog", "turtle"),
    ),
    _dyed("white", "cfd5d6", "e9ecec", "snow", "snowy"),
    _dyed("gray", "36393d", "3e4447", "grey"),
    _dyed("black", "080a0f", "141519"),
    _dyed("brown", "603b1f", "724728", "leather", "chocolate"),
    _dyed("red", "8e2020", "a12722"),
    _dyed("orange", "e06100", "f07613"),
    _dyed("yellow", "f0af15", "f8c527"),
    _dyed("lime", "5ea818", "70b919"),
    _dyed("green", "495b24", "546d1b"),
    _dyed("cyan", "157788", "158991", "turquoise", "teal"),
    _dyed("light_blue", "2389c6", "3aafd9", "azure"),
    _dyed("blue", "2c2e8f", "353999"),
    _dyed("purple", "641f9c", "792aac", "violet"),
    _dyed("magenta", "a9309f", "bd44b3"),
    _dyed("pink", "d5658e", "ed8dac"),
)  # fmt: skip
BY_NAME = {material.name: material for material in MATERIALS}
KNOWN = {block.name: block for material in MATERIALS for block in material.blocks}
"""Blocks whose colours are known, by name."""
_MEANT = {word: material for material in reversed(MATERIALS) for word in material.words}
_SUGGESTED = {word: material for material in reversed(MATERIALS) for word in material.things}


def material_of(prompt: str) -> Material:
    """The material that a prompt means: by its first word for one, or else for a thing; clay where it has neither."""
    words = re.findall(r"[a-z]+", prompt.lower())
    for table in (_MEANT, _SUGGESTED):
        for word in words:
            for form in (word, word.removesuffix("s")):
                if form in table:
                    return table[form]
    return MATERIALS[0]
