"""Blocks to write as files, and how they look once a reader has read them."""

from __future__ import annotations

import numpy as np

from formats.about import About
from formats.blocks import Block, Blocks

WOOD, STONE, GOLD = (
    Block("minecraft:oak_log[axis=y]", (160, 130, 109)),
    Block("minecraft:stone", (128, 128, 128)),
    Block("minecraft:gold_block", (255, 215, 0)),
)
PALETTE = (WOOD, STONE, GOLD)


def scattered(low: int, high: int, count: int, palette: tuple[Block, ...] = PALETTE) -> Blocks:
    """Blocks of each kind at random places from `low` to below `high`."""
    generator = np.random.default_rng(0)
    position = np.unique(generator.integers(low, high, (count, 3)), axis=0).astype(np.int32)
    generator.shuffle(position)
    block = np.arange(len(position)) % len(palette)
    return Blocks(position, block.astype(np.uint8), palette, 1 / (high - low))


def no_blocks() -> Blocks:
    return Blocks(np.zeros((0, 3), np.int32), np.zeros(0, np.uint8), PALETTE, 1.0)


def by_place(blocks: Blocks) -> dict[tuple[int, ...], str]:
    """Names by place."""
    names = [blocks.palette[index].name for index in blocks.block]
    return dict(zip(map(tuple, blocks.position.tolist()), names, strict=True))


ABOUT = About("1.2.3", 7, "a chair", 1 / 32, "xcube-coarse:1")
"""What the files of these blocks tell."""
