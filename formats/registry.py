"""Which formats there are. JSON is the first: a client that does not choose gets it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from formats.about import About
from formats.crossworld import bcf, csm
from formats.gltf_blocks import glb_blocks
from formats.gltf_points import glb_points
from formats.json_text import write_json
from formats.kinds import Format, Frame
from formats.magicavoxel import vox
from formats.mesh import glb, obj, stl
from formats.nanovdb import nvdb
from formats.picture import SIDE, png
from formats.points import npz, ply
from formats.printing import three_mf
from formats.schematic import litematic, schem, structure
from formats.usdz import usdz
from models.shape import Shape

_GLTF = Frame(ups=("y",), unit="metre")
_USD = Frame(ups=("y",), origins=("ground", "centre", "corner"), unit="metre")
_BLOCKS = Frame(ups=("y",), origins=("ground", "centre", "corner"), unit="block")
_CUBE = Frame(ups=("y",), unit="block")
_PRINTED = Frame(ups=("z", "y"), origins=("ground", "centre", "corner"), unit="millimetre")


def _npz(shape: Shape, about: About) -> bytes:
    arrays: dict[str, NDArray[np.generic]] = {"seed": np.array(shape.seed)}
    arrays |= {name: np.array(text) for name, text in about.facts().items() if name != "seed"}
    for stage, voxels in (("coarse", shape.coarse), ("fine", shape.fine)):
        if voxels is not None:
            arrays[f"{stage}_ijk"] = voxels.ijk.astype(np.int16)
            arrays[f"{stage}_normal"] = voxels.normal.astype(np.float16)
            arrays[f"{stage}_voxel_size"] = np.array(voxels.voxel_size)
    return npz(arrays)


def _report(known: dict[str, Any], about: About) -> bytes:
    told = {"prompt": "", "models": "", **about.facts(), "seed": about.seed, "seed_text": str(about.seed)}
    return orjson.dumps({**told, **known})


FORMATS = (
    Format(
        "json", ".json", "application/json", "positions and normals of both stages", "stages",
        lambda shape, _: write_json(shape),
    ),
    Format(
        "npz", ".npz", "application/x-npz", "NumPy: ijk int16, normals float16, voxel size, seed and origin",
        "stages", _npz, aliases=("application/vnd.numpy.npz",),
    ),
    Format(
        "ply", ".ply", "model/ply", "coloured points with normals of the finest stage", "points",
        lambda points, about: ply(points.xyz, points.normal, points.colour, about.lines()), Frame(ups=("z", "y")),
        coloured=True,
        aliases=("application/x-ply", "application/ply"),
    ),
    Format(
        "glb", ".glb", "model/gltf-binary", "binary glTF: coloured closed surface with normals", "surface",
        lambda skin, about: glb(skin.surface, skin.colour, about), _GLTF, coloured=True, lit=True,
    ),
    Format(
        "glb-points", ".glb", "model/gltf-binary; primitives=points", "binary glTF: coloured points with normals",
        "points", lambda points, about: glb_points(points, about), _GLTF, coloured=True,
    ),
    Format(
        "glb-blocks", ".glb", "model/gltf-binary; primitives=blocks", "binary glTF: coloured blocks as one mesh",
        "blocks", lambda blocks, about: glb_blocks(blocks, about), _GLTF, coloured=True, lit=True,
    ),
    Format(
        "usdz", ".usdz", "model/vnd.usdz+zip", "USD for phones and headsets: coloured closed surface with normals",
        "surface", lambda skin, about: usdz(skin.surface, skin.colour, about), _USD, coloured=True, lit=True,
    ),
    Format(
        "obj", ".obj", "model/obj", "Wavefront: closed surface with normals", "surface",
        lambda skin, about: obj(skin.surface, about), aliases=("text/prs.wavefront-obj",),
    ),
    Format(
        "stl", ".stl", "model/stl", "closed surface for 3-D printing", "surface",
        lambda skin, about: stl(skin.surface, about), _PRINTED,
        aliases=("application/sla", "application/vnd.ms-pki.stl"),
    ),
    Format(
        "3mf", ".3mf", "model/3mf", "closed surface for 3-D printing, with its unit", "surface",
        lambda skin, about: three_mf(skin.surface, about), _PRINTED,
        aliases=("application/vnd.ms-package.3dmanufacturing-3dmodel+xml",),
    ),
    Format(
        "vox", ".vox", "model/x-vox", "MagicaVoxel: coloured voxels of the finest stage", "blocks",
        vox,
        Frame(ups=("z",), origins=("ground", "centre", "corner"), unit="block"),
        aliases=("application/x-vox",), coloured=True,
    ),
    Format(
        "schem", ".schem", "application/x-schem", "Minecraft: Sponge schematic, version 2", "blocks",
        lambda blocks, about: schem(blocks, 2, about), _BLOCKS, coloured=True, minecraft=True,
    ),
    Format(
        "schem-v3", ".schem", "application/x-schem; version=3", "Minecraft: Sponge schematic, version 3", "blocks",
        lambda blocks, about: schem(blocks, 3, about), _BLOCKS, coloured=True, minecraft=True,
    ),
    Format(
        "litematic", ".litematic", "application/x-litematic", "Minecraft: schematic of Litematica", "blocks",
        litematic, _BLOCKS, coloured=True, minecraft=True,
    ),
    Format(
        "nbt", ".nbt", "application/x-minecraft-structure", "Minecraft: structure of data packs and structure blocks",
        "blocks", lambda blocks, _: structure(blocks), replace(_BLOCKS, origins=("corner",)), coloured=True,
        minecraft=True,
    ),
    Format(
        "csm", ".csm", "application/x-crossworld-csm", "crossworld: octree of materials as text", "blocks",
        lambda blocks, _: csm(blocks), _CUBE, coloured=True, named=True,
    ),
    Format(
        "bcf", ".bcf", "application/x-crossworld-bcf", "crossworld: octree of materials as bytes", "blocks",
        lambda blocks, _: bcf(blocks), _CUBE, coloured=True, named=True,
    ),
    Format(
        "nvdb", ".nvdb", "application/x-nanovdb", "NanoVDB: fog of 1 where a voxel is", "blocks",
        lambda blocks, _: nvdb(blocks), Frame(ups=("y", "z")),
    ),
    Format(
        "png", ".png", "image/png", f"a picture, {SIDE} pixels wide and high", "points", png, Frame(ups=("y",)),
        coloured=True,
    ),
    Format(
        "report", ".json", "application/vnd.xcube.report+json", "what is worth knowing: size, pieces, holes, levels",
        "report", _report,
    ),
)  # fmt: skip
