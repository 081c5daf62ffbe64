"""Files for Minecraft: Sponge schematics (`.schem`, version 2 and 3), Litematica's `.litematic`, structures (`.nbt`).

The first two hold every place of a box, air too, in the order y, z, x; a structure holds the blocks alone. The
positions of blocks are Minecraft's: y is up. A box that does not begin at the origin says where it does, which a
structure cannot: there the box is all there is.

Sources: the Sponge Schematic Specification, versions 2 and 3; the Minecraft Wiki on structure files; Litematica's
format as litemapy documents it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from formats import nbt
from formats.about import NAME, About
from formats.blocks import Blocks
from formats.box import TooLargeError, box

DATA_VERSION = 2975
"""Minecraft 1.18.2: newer games bring a file up to date as they load it, older ones may refuse it."""
_AIR = "minecraft:air"
_SIDE, _VOLUME = 65_535, 2**31 - 1
_PIECE = 1 << 22
"""Places of a box that are made and compressed at a time; a multiple of 64, so that packed pieces end with a number."""
_NAME = 60
"""Characters of a name: the game's list shows fewer."""
_STATE = re.compile(r"([^\[\]]+)(?:\[(.*)\])?")


def schem(blocks: Blocks, version: int, about: About) -> bytes:
    """A Sponge schematic, which WorldEdit and many servers paste: of version 2, which most programs read, or 3.

    Raises:
        TooLargeError: the box has a side or a volume that the format cannot hold.
    """
    low, size = _box(blocks)
    names = [_AIR, *(block.name for block in blocks.palette)]
    palette, number = _palette(names)
    places, values = _in_order(blocks, low, size, number)
    width, height, length = size
    length_in_bytes = width * height * length + int(np.count_nonzero(values >= 128))
    data = nbt.byte_array(length_in_bytes, _varints(places, values, width * height * length))
    entries = nbt.compound({name: nbt.integer(index) for index, name in enumerate(palette)})
    told = {"Name": nbt.string(about.title()), "Author": nbt.string(NAME)}
    told |= {name: nbt.string(text) for name, text in about.facts().items()}
    head = {
        "Version": nbt.integer(version),
        "DataVersion": nbt.integer(DATA_VERSION),
        "Width": nbt.short(width),
        "Height": nbt.short(height),
        "Length": nbt.short(length),
        "Offset": nbt.integers(low),
    }
    if version == 2:
        # WorldEdit, which defined this version, takes the place to paste at from these.
        moved = {f"WEOffset{axis}": nbt.integer(at) for axis, at in zip("XYZ", low, strict=True)}
        content = {"PaletteMax": nbt.integer(len(palette)), "Palette": entries, "BlockData": data}
        return nbt.document(
            "Schematic", head | content | {"BlockEntities": nbt.listed([]), "Metadata": nbt.compound(moved | told)}
        )
    content = {"Palette": entries, "Data": data, "BlockEntities": nbt.listed([])}
    return nbt.document(
        "", {"Schematic": nbt.compound(head | {"Metadata": nbt.compound(told), "Blocks": nbt.compound(content)})}
    )


def litematic(blocks: Blocks, about: About) -> bytes:
    """A Litematica schematic of one region; the prompt is what the game's list shows.

    Raises:
        TooLargeError: the box has a side or a volume that the format cannot hold.
    """
    low, size = _box(blocks)
    name = nbt.plain(about.prompt)[:_NAME] or "shape"
    palette, number = _palette([_AIR, *(block.name for block in blocks.palette)])
    places, values = _in_order(blocks, low, size, number)
    volume = int(np.prod(size, dtype=np.int64))
    bits = max(2, (len(palette) - 1).bit_length())
    region = {
        "Position": _xyz(low),
        "Size": _xyz(size),
        "BlockStatePalette": nbt.listed([_state(each) for each in palette]),
        "BlockStates": nbt.long_array(-(-volume * bits // 64), _packed(places, values, volume, bits)),
        "Entities": nbt.listed([]),
        "TileEntities": nbt.listed([]),
        "PendingBlockTicks": nbt.listed([]),
        "PendingFluidTicks": nbt.listed([]),
    }
    told = {
        "Name": nbt.string(name),
        "Author": nbt.string(NAME),
        "Description": nbt.string("\n".join(about.lines())),
        "RegionCount": nbt.integer(1),
        "TotalVolume": nbt.integer(volume),
        "TotalBlocks": nbt.integer(len(blocks)),
        "EnclosingSize": _xyz(size),
        "TimeCreated": nbt.long(0),
        "TimeModified": nbt.long(0),
    }
    return nbt.document(
        "",
        {
            "MinecraftDataVersion": nbt.integer(DATA_VERSION),
            "Version": nbt.integer(6),
            "SubVersion": nbt.integer(1),
            "Metadata": nbt.compound(told),
            "Regions": nbt.compound({name: nbt.compound(region)}),
        },
    )


def structure(blocks: Blocks) -> bytes:
    """A structure as the game's own structure blocks and data packs have it; the lowest block of each axis is at 0.

    The game itself loads at most 48 blocks a side with a structure block; other programs load more.

    Raises:
        TooLargeError: the box has a side or a volume that the format cannot hold.
    """
    low, size = _box(blocks)
    palette, number = _palette([block.name for block in blocks.palette])
    state, place = nbt.field("int", "state"), nbt.field("ints 3", "pos")
    row = [("a", f"V{len(state)}"), ("state", ">i4"), ("b", f"V{len(place)}"), ("pos", ">i4", 3), ("end", "u1")]
    rows = np.zeros(len(blocks), np.dtype(row))
    rows["a"], rows["b"] = np.void(state), np.void(place)
    rows["state"] = number[blocks.block]
    rows["pos"] = blocks.position - np.array(low, np.int32)
    return nbt.document(
        "",
        {
            "DataVersion": nbt.integer(DATA_VERSION),
            "size": nbt.listed([nbt.integer(side) for side in size]),
            "palette": nbt.listed([_state(name) for name in palette]),
            "blocks": nbt.records(rows),
            "entities": nbt.listed([]),
        },
    )


def _box(blocks: Blocks) -> tuple[list[int], list[int]]:
    """Lowest position and size of the box around blocks, by axis, where a schematic can hold it."""
    low, size = box(blocks)
    if max(size) > _SIDE or np.prod(size, dtype=np.float64) > _VOLUME:
        told = " x ".join(map(str, size))
        raise TooLargeError(f"A schematic holds at most {_VOLUME:,} places, not {told}: ask for a smaller size.")
    return low, size


def _palette(names: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Names without repetition, and the number there of each entry of a palette (without air, where it comes first)."""
    unique = list(dict.fromkeys(names))
    number = np.array([unique.index(name) for name in names])
    return unique, number[1:] if names[0] == _AIR else number


def _in_order(
    blocks: Blocks, low: list[int], size: list[int], number: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where in the box each block is, counted by x, then z, then y, ascending, and its number in the file's palette."""
    x, y, z = (blocks.position - np.array(low, np.int32)).astype(np.int64).T
    places = (y * size[2] + z) * size[0] + x
    order = np.argsort(places, kind="stable")
    return places[order], number[blocks.block[order]]


def _pieces(places: NDArray[np.int64], volume: int) -> Iterator[tuple[int, int, slice]]:
    """Stretches of a box: first place, count of places, and which of the ascending places of blocks lie there."""
    starts = range(0, volume, _PIECE)
    bounds = np.searchsorted(places, [*starts, volume])
    for index, start in enumerate(starts):
        yield start, min(_PIECE, volume - start), slice(bounds[index], bounds[index + 1])


def _varints(places: NDArray[np.int64], values: NDArray[np.int64], volume: int) -> Iterator[NDArray[np.uint8]]:
    """The box as numbers of 7 bits a byte, lowest first; those from 128 on, of which blocks alone have some, take 2."""
    for start, count, here in _pieces(places, volume):
        value = values[here]
        long = value >= 128
        at = places[here] - start + np.cumsum(long) - long
        piece = np.zeros(count + int(np.count_nonzero(long)), np.uint8)
        piece[at] = (value & 127) | (long << 7)
        piece[at[long] + 1] = value[long] >> 7
        yield piece


def _packed(
    places: NDArray[np.int64], values: NDArray[np.int64], volume: int, bits: int
) -> Iterator[NDArray[np.uint64]]:
    """The box as numbers of `bits` bits, one after the other across numbers of 64, from the lowest bit on."""
    for start, count, here in _pieces(places, volume):
        at = (places[here] - start) * bits
        value = values[here].astype(np.uint64)
        piece = np.zeros(-(-count * bits // 64), np.uint64)
        word, shift = at >> 6, (at & 63).astype(np.uint64)
        # No two of them share a bit, so adding is the same as combining.
        _add(piece, word, value << shift)
        cut = (at & 63) + bits > 64
        _add(piece, word[cut] + 1, value[cut] >> (np.uint64(64) - shift[cut]))
        yield piece


def _add(words: NDArray[np.uint64], at: NDArray[np.int64], values: NDArray[np.uint64]) -> None:
    """Adds values to words at ascending indices, which may repeat."""
    if len(at):
        first = np.flatnonzero(np.diff(at, prepend=-1))
        words[at[first]] += np.add.reduceat(values, first)


def _state(name: str) -> nbt.Tag:
    """A block of a palette, such as `minecraft:oak_log[axis=y]`, as name and properties."""
    found = _STATE.fullmatch(name)
    base, properties = found.groups() if found else (name, None)
    fields = {"Name": nbt.string(base)}
    if properties:
        pairs = (each.partition("=") for each in properties.split(","))
        fields["Properties"] = nbt.compound({key.strip(): nbt.string(value.strip()) for key, _, value in pairs})
    return nbt.compound(fields)


def _xyz(values: list[int]) -> nbt.Tag:
    return nbt.compound({axis: nbt.integer(value) for axis, value in zip("xyz", values, strict=True)})
