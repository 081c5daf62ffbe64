"""A palette as the option writes it: blocks from the bottom to the top, each with its colour."""

from __future__ import annotations

import re
from collections.abc import Mapping

from formats.blocks import Block

MOST_BLOCKS = 64
_ENTRY = re.compile(r"(?P<name>[!-+\--<>-~]{1,100})(?:=(?P<colour>[0-9a-fA-F]{6}))?")
"""A name without spaces, commas and equals signs, and red, green and blue in hexadecimal digits."""


def blocks_of(text: str, known: Mapping[str, Block]) -> tuple[Block, ...]:
    """The blocks in a text such as ``minecraft:dirt=866043,minecraft:stone``.

    Args:
        text: Names, separated by commas, with `=` and a colour where the name is not known.
        known: Blocks by name; a name without a namespace is looked for among Minecraft's too.

    Raises:
        ValueError: it is no such list, or a block without a colour is not known; the text says which.
    """
    blocks = []
    for part in text.split(","):
        entry = _ENTRY.fullmatch(part.strip())
        if entry is None:
            raise ValueError(part)
        name, colour = entry["name"], entry["colour"]
        block = known.get(name) or known.get(f"minecraft:{name}")
        if colour is not None:
            name = block.name if block else name
            block = Block(name, (int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16)))
        if block is None:
            raise ValueError(part)
        blocks.append(block)
    if len(blocks) > MOST_BLOCKS:
        raise ValueError(f"more than {MOST_BLOCKS} blocks")
    return tuple(blocks)
