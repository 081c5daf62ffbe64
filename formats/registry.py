"""Which formats there are. JSON is the first: a client that does not choose gets it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from formats.crossworld import bcf, csm
from formats.gltf_blocks import glb_blocks
from formats.gltf_points import glb_points
from formats.json_text import write_json
from formats.kinds import About, Format, Frame
from formats.magicavoxel import vox
from formats.mesh import glb, obj, stl
from formats.nanovdb import nvdb
from formats.points import npz, ply
from formats.printing import three_mf
from formats.schematic import litematic, schem, structure
from models.shape import Shape

_GLTF = Frame(ups=("y",), unit="metre")
_BLOCKS = Frame(ups=("y",), origins=("ground", "centre", "corner"), unit="block")
_CUBE = Frame(ups=("y",), unit="block")
_PRINTED = Frame(ups=("z", "y"), origins=("ground", "centre", "corner"), unit="millimetre")


def _extras(about: About) -> dict[str, Any]:
    # A seed may have 64 bits, which a JSON reader with doubles would round.
    return {"version": about.version, "seed": str(about.seed), "voxel_size": about.voxel_size}


def _npz(shape: Shape, about: About) -> bytes:
    arrays: dict[str, NDArray[np.generic]] = {"seed": np.array(shape.seed), "version": np.array(about.version)}
    for stage, voxels in (("coarse", shape.coarse), ("fine", shape.fine)):
        if voxels is not None:
            arrays[f"{stage}_ijk"] = voxels.ijk.astype(np.int16)
            arrays[f"{stage}_normal"] = voxels.normal.astype(np.float16)
            arrays[f"{stage}_voxel_size"] = np.array(voxels.voxel_size)
    return npz(arrays)


def _report(known: dict[str, Any], about: About) -> bytes:
    told = {"prompt": about.prompt, "seed": about.seed, "seed_text": str(about.seed), "version": about.version}
    return orjson.dumps({**told, **known})


FORMATS = (
    Format(
        "json", ".json", "application/json", "positions and normals of both stages", "stages",
        lambda shape, _: write_json(shape),
    ),
    Format(
        "npz", ".npz", "application/x-npz", "NumPy: ijk int16, normals float16, voxel size, seed and version",
        "stages", _npz, aliases=("application/vnd.numpy.npz",),
    ),
    Format(
        "ply", ".ply", "model/ply", "coloured points with normals of the finest stage", "points",
        lambda points, _: ply(points.xyz, points.normal, points.colour), Frame(ups=("z", "y")), coloured=True,
        aliases=("application/x-ply", "application/ply"),
    ),
    Format(
        "glb", ".glb", "model/gltf-binary", "binary glTF: coloured closed surface with normals", "surface",
        lambda skin, about: glb(skin.surface, skin.colour, _extras(about)), _GLTF, coloured=True, lit=True,
    ),
    Format(
        "glb-points", ".glb", "model/gltf-binary; primitives=points", "binary glTF: coloured points with normals",
        "points", lambda points, about: glb_points(points, _extras(about)), _GLTF, coloured=True,
    ),
    Format(
        "glb-blocks", ".glb", "model/gltf-binary; primitives=blocks", "binary glTF: coloured blocks as one mesh",
        "blocks", lambda blocks, about: glb_blocks(blocks, _extras(about)), _GLTF, coloured=True, lit=True,
    ),
    Format(
        "obj", ".obj", "model/obj", "Wavefront: closed surface with normals", "surface",
        lambda skin, about: obj(skin.surface, _extras(about)), aliases=("text/prs.wavefront-obj",),
    ),
    Format(
        "stl", ".stl", "model/stl", "closed surface for 3-D printing", "surface",
        lambda skin, _: stl(skin.surface), _PRINTED, aliases=("application/sla", "application/vnd.ms-pki.stl"),
    ),
    Format(
        "3mf", ".3mf", "model/3mf", "closed surface for 3-D printing, with its unit", "surface",
        lambda skin, _: three_mf(skin.surface), _PRINTED,
        aliases=("application/vnd.ms-package.3dmanufacturing-3dmodel+xml",),
    ),
    Format(
        "vox", ".vox", "model/x-vox", "MagicaVoxel: coloured voxels of the finest stage", "blocks",
        lambda blocks, about: vox(blocks, about.prompt or "shape"),
        Frame(ups=("z",), origins=("ground", "centre", "corner"), unit="block"),
        aliases=("application/x-vox",), coloured=True,
    ),
    Format(
        "schem", ".schem", "application/x-schem", "Minecraft: Sponge schematic, version 2", "blocks",
        lambda blocks, _: schem(blocks, 2), _BLOCKS, coloured=True, minecraft=True,
    ),
    Format(
        "schem-v3", ".schem", "application/x-schem; version=3", "Minecraft: Sponge schematic, version 3", "blocks",
        lambda blocks, _: schem(blocks, 3), _BLOCKS, coloured=True, minecraft=True,
    ),
    Format(
        "litematic", ".litematic", "application/x-litematic", "Minecraft: schematic of Litematica", "blocks",
        lambda blocks, about: litematic(blocks, about.prompt), _BLOCKS, coloured=True, minecraft=True,
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
        "report", ".json", "application/vnd.xcube.report+json", "what is worth knowing: size, pieces, holes, levels",
        "report", _report,
    ),
)  # fmt: skip
