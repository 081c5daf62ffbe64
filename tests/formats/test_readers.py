"""Readers that are not ours agree on a shape: how many voxels it has, where each of them is, and which way is up.

The shape is the flag of `test_frames.py`, with its lowest corner at 0 in every file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litemapy
import mcschematic
import meshio
import nbtlib
import numpy as np
import pytest
import trimesh
from voxypy.numpy_vox_io.parser import VoxParser

from formats import FORMATS, Options, file_of
from models.shape import Shape
from tests.support.crossworld import places, read_bcf, read_csm
from tests.support.solids import FLAG_SIDE as SIDE
from tests.support.solids import flag

FLAG = Shape(flag(), None, seed=1)
BY_NAME = {format_.name: format_ for format_ in FORMATS}
BOX = FLAG.coarse.ijk.max(axis=0).astype(int) - FLAG.coarse.ijk.min(axis=0) + 1
PLACES = {tuple(row) for row in (FLAG.coarse.ijk - FLAG.coarse.ijk.min(axis=0)).tolist()}
Read = Callable[[Path], np.ndarray]


def upright(z_up: np.ndarray) -> np.ndarray:
    """Places with z up as places with y up, both from the corner on."""
    return np.stack([z_up[:, 0], z_up[:, 2], BOX[2] - 1 - z_up[:, 1]], axis=1)


def whole(centres: Any) -> np.ndarray:
    """Places of voxels from their centres in world units."""
    places = np.asarray(centres, np.float64) * SIDE - 0.5
    np.testing.assert_allclose(places, np.rint(places), atol=1e-4)
    return np.rint(places).astype(int)


def numpy_reads(path: Path) -> np.ndarray:
    with np.load(path) as arrays:
        return np.array(arrays["coarse_ijk"])


def voxypy_reads(path: Path) -> np.ndarray:
    grid, palette = VoxParser(path).parse()
    assert len({tuple(palette[index - 1][:3]) for index in np.unique(grid[grid > 0])}) > 20
    return upright(np.argwhere(grid[:, :, ::-1]))  # it counts z from the top


def mcschematic_reads(path: Path) -> np.ndarray:
    read = mcschematic.MCSchematic(str(path))
    names = {place: read.getBlockDataAt(place) for place in np.ndindex(*(BOX + 2).tolist())}
    return np.array([place for place, name in names.items() if name not in (None, "minecraft:air")])


def litemapy_reads(path: Path) -> np.ndarray:
    ((_, region),) = litemapy.Schematic.load(str(path)).regions.items()
    assert (region.x, region.y, region.z) == (0, 0, 0)
    return np.array([place for place in region.block_positions() if region[place].id != "minecraft:air"])


def nbtlib_reads(path: Path) -> np.ndarray:
    return np.array([[int(at) for at in block["pos"]] for block in nbtlib.load(path)["blocks"]])


READERS: list[tuple[str, Read]] = [
    ("json", lambda path: whole(json.loads(path.read_bytes())["coarse_xyz"])),
    ("npz", numpy_reads),
    ("ply", lambda path: upright(whole(meshio.read(path).points))),
    ("glb-points", lambda path: whole(next(iter(trimesh.load_scene(path).geometry.values())).vertices)),
    ("vox", voxypy_reads),
    ("schem", mcschematic_reads),
    ("litematic", litemapy_reads),
    ("nbt", nbtlib_reads),
]


@pytest.mark.parametrize(("name", "read"), READERS, ids=[name for name, _ in READERS])
def test_a_reader_finds_every_voxel_at_its_place_and_no_other(name: str, read: Read, tmp_path: Path) -> None:
    path = tmp_path / f"flag{BY_NAME[name].suffix}"
    path.write_bytes(file_of(BY_NAME[name], FLAG, "1", Options(origin="corner")).content)
    found = read(path)
    assert len(found) == len(PLACES)
    assert {tuple(row) for row in found.tolist()} == PLACES


@pytest.mark.parametrize("name", ["glb", "glb-blocks", "obj", "stl"])
def test_a_mesh_fills_the_box_of_the_voxels(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"flag{BY_NAME[name].suffix}"
    path.write_bytes(file_of(BY_NAME[name], FLAG, "1", Options(origin="corner")).content)
    low, high = trimesh.load(path, force="mesh").bounds
    np.testing.assert_allclose(low, 0.0, atol=1e-4)
    size = high / high.max() * BOX.max()
    wanted = BOX[[0, 2, 1]] if BY_NAME[name].frame.ups[0] == "z" else BOX
    np.testing.assert_allclose(
        size, wanted, atol=1e-3 if name == "glb-blocks" else 4.0
    )  # normals of the flag bend its surface
    unit = {"metre": BOX.max() / SIDE, "world": BOX.max() / SIDE, "millimetre": 100.0}[BY_NAME[name].frame.unit]
    assert high.max() == pytest.approx(unit, rel=1e-4 if name in ("glb-blocks", "stl") else 0.12)


@pytest.mark.parametrize("name", ["csm", "bcf"])
def test_an_octree_has_the_same_voxels_from_the_corner_of_its_root_on(name: str) -> None:
    content = file_of(BY_NAME[name], FLAG, "1", Options(origin="corner")).content
    cube = read_csm(content.decode()) if name == "csm" else read_bcf(content)
    assert set(places(cube, SIDE)) == PLACES


def test_a_flag_s_colours_are_those_of_its_prompt_wherever_it_is_read(tmp_path: Path) -> None:
    shape = Shape(FLAG.coarse, None, 1, prompt="a stone flag")
    (tmp_path / "flag.nbt").write_bytes(file_of(BY_NAME["nbt"], shape, "1").content)
    names = {str(state["Name"]) for state in nbtlib.load(tmp_path / "flag.nbt")["palette"]}
    assert names <= {f"minecraft:{name}" for name in ("cobblestone", "stone", "andesite", "smooth_stone")}
    points = trimesh.load(io.BytesIO(file_of(BY_NAME["ply"], shape, "1").content), file_type="ply")
    grey = np.asarray(points.colors)[:, :3].astype(int)
    assert np.ptp(grey.mean(axis=0)) < 20
    assert np.ptp(grey, axis=0).min() > 60
