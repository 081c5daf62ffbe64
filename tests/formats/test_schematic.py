"""Schematics, read back by nbtlib, mcschematic and litemapy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import litemapy
import mcschematic
import nbtlib
import numpy as np
import pytest

from formats import schematic
from formats.blocks import Block, Blocks
from formats.box import TooLargeError
from formats.schematic import DATA_VERSION, litematic, schem, structure
from tests.support.blocks import ABOUT, PALETTE, by_place, no_blocks, scattered

MANY = tuple(Block(f"xcube:block_{index}", (index, index, index)) for index in range(200))


def read_sponge(file: nbtlib.File, version: int) -> dict[tuple[int, ...], str]:
    """Names by place, by what the Sponge Schematic Specification says of versions 2 and 3."""
    if version == 3:
        (file,) = (file["Schematic"],)
        names, data = file["Blocks"]["Palette"], file["Blocks"]["Data"]
    else:
        names, data = file["Palette"], file["BlockData"]
        assert file["PaletteMax"] == len(names)
    assert (file["Version"], file["DataVersion"]) == (version, DATA_VERSION)
    by_number = {int(number): name for name, number in names.items()}
    width, height, length = (int(file[side]) for side in ("Width", "Height", "Length"))
    found, index, stream = {}, 0, iter(np.asarray(data, np.int8).astype(np.uint8).tolist())
    for byte in stream:
        number, shift = byte & 127, 7
        while byte & 128:
            byte = next(stream)
            number |= (byte & 127) << shift
            shift += 7
        place = (index % width, index // (width * length), index // width % length)
        found[tuple(int(at) + int(low) for at, low in zip(place, file["Offset"], strict=True))] = by_number[number]
        index += 1
    assert index == width * height * length
    return {place: name for place, name in found.items() if name != "minecraft:air"}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("palette", [PALETTE, MANY], ids=["few", "many"])
def test_a_sponge_schematic_has_every_block_at_its_place(
    palette: tuple[Block, ...], version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schematic, "_PIECE", 640)
    blocks = scattered(-9, 11, 1000, palette)
    (tmp_path / "a.schem").write_bytes(schem(blocks, version, ABOUT))
    file = nbtlib.load(tmp_path / "a.schem")
    assert file.root_name == {2: "Schematic", 3: ""}[version]
    assert read_sponge(file, version) == by_place(blocks)


def test_mcschematic_reads_version_2(tmp_path: Path) -> None:
    blocks = scattered(0, 9, 300)
    (tmp_path / "a.schem").write_bytes(schem(blocks, 2, ABOUT))
    read = mcschematic.MCSchematic(str(tmp_path / "a.schem"))
    for place, name in by_place(blocks).items():
        assert read.getBlockDataAt(place) == name
    empty = set(np.ndindex(9, 9, 9)) - set(by_place(blocks))
    assert {read.getBlockDataAt(place) for place in empty} <= {None, "minecraft:air"}


@pytest.mark.parametrize("palette", [PALETTE, MANY, MANY[:1]], ids=["few", "many", "one"])
def test_litemapy_reads_every_block_at_its_place(
    palette: tuple[Block, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schematic, "_PIECE", 640)
    blocks = scattered(-9, 11, 1000, palette)
    (tmp_path / "a.litematic").write_bytes(litematic(blocks, ABOUT))
    read = litemapy.Schematic.load(str(tmp_path / "a.litematic"))
    assert read.name == "a chair"
    assert read.mc_version == DATA_VERSION
    ((name, region),) = read.regions.items()
    assert name == "a chair"
    assert region.count_blocks() == len(blocks)
    corner = np.array([region.x, region.y, region.z])
    found = {
        tuple((corner + place).tolist()): region[place].to_block_state_identifier()
        for place in region.block_positions()
        if region[place] != litemapy.BlockState("minecraft:air")
    }
    assert found == by_place(blocks)


def test_a_structure_has_the_blocks_alone_from_its_corner_on(tmp_path: Path) -> None:
    blocks = scattered(-9, 11, 1000)
    (tmp_path / "a.nbt").write_bytes(structure(blocks))
    file = nbtlib.load(tmp_path / "a.nbt")
    assert file["DataVersion"] == DATA_VERSION
    assert list(map(int, file["size"])) == [20, 20, 20]
    names = []
    for state in file["palette"]:
        properties = ",".join(f"{key}={value}" for key, value in state.get("Properties", {}).items())
        names.append(state["Name"] + (f"[{properties}]" if properties else ""))
    assert len(file["blocks"]) == len(blocks)
    found = {tuple(int(at) - 9 for at in each["pos"]): names[each["state"]] for each in file["blocks"]}
    assert found == by_place(blocks)


@pytest.mark.parametrize(
    "write", [lambda blocks: schem(blocks, 3, ABOUT), structure, lambda blocks: litematic(blocks, ABOUT)]
)
def test_no_block_and_too_large_a_box_are_told_in_a_sentence(write: Callable[[Blocks], bytes]) -> None:
    with pytest.raises(ValueError, match="no voxel: there is nothing to write"):
        write(no_blocks())
    far = Blocks(np.array([[0, 0, 0], [2000, 2000, 2000]], np.int32), np.zeros(2, np.uint8), PALETTE, 1.0)
    with pytest.raises(TooLargeError, match="2001 x 2001 x 2001: ask for a smaller size"):
        write(far)


def test_the_same_blocks_are_the_same_bytes_and_two_names_of_one_block_one_entry(tmp_path: Path) -> None:
    blocks = scattered(0, 8, 50, (PALETTE[1], Block("minecraft:stone", (1, 2, 3))))
    assert litematic(blocks, ABOUT) == litematic(blocks, ABOUT)
    (tmp_path / "a.nbt").write_bytes(structure(blocks))
    assert len(nbtlib.load(tmp_path / "a.nbt")["palette"]) == 1


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("a chair\x00\U0001f600 ä ", "a chair ä"), ("\ud800\n", "shape"), ("", "shape"), ("chair " * 200, "chair " * 10)],
    ids=["emoji", "nothing to show", "none", "long"],
)
def test_a_name_has_nothing_that_java_cannot_read(prompt: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.litematic").write_bytes(litematic(scattered(0, 4, 9), replace(ABOUT, prompt=prompt)))
    read = litemapy.Schematic.load(str(tmp_path / "a.litematic"))
    assert (read.name, *read.regions) == (name, name)
