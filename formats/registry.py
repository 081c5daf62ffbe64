"""Which formats there are. JSON is the first: a client that does not choose gets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.gltf_points import glb_points
from formats.json_text import write_json
from formats.magicavoxel import vox
from formats.mesh import glb, obj, stl
from formats.points import npz, ply
from models.shape import Shape


@dataclass(frozen=True)
class Format:
    """One kind of file: its name in `format=`, what it is, and how a shape is written as one.

    Attributes:
        name: How `format=` names it.
        suffix: Ending of a file's name, with its dot.
        media_type: How the header Accept names it.
        description: What it holds, in a few words.
        encode: Takes a shape and the version of the service. It may take seconds for a large shape; it raises nothing
            for a shape with voxels.
        aliases: Other media types by which clients ask for it.
        surface: Whether it holds triangles, which take long to make; such a file depends on the finest voxels and the
            seed alone.
    """

    name: str
    suffix: str
    media_type: str
    description: str
    encode: Callable[[Shape, str], bytes]
    aliases: tuple[str, ...] = ()
    surface: bool = False


def _about(shape: Shape, version: str) -> dict[str, Any]:
    # A seed may have 64 bits, which a JSON reader with doubles would round.
    return {"version": version, "seed": str(shape.seed), "voxel_size": shape.finest.voxel_size}


def _npz(shape: Shape, version: str) -> bytes:
    arrays: dict[str, NDArray[np.generic]] = {"seed": np.array(shape.seed), "version": np.array(version)}
    for stage, voxels in (("coarse", shape.coarse), ("fine", shape.fine)):
        if voxels is not None:
            arrays[f"{stage}_ijk"] = voxels.ijk.astype(np.int16)
            arrays[f"{stage}_normal"] = voxels.normal.astype(np.float16)
            arrays[f"{stage}_voxel_size"] = np.array(voxels.voxel_size)
    return npz(arrays)


def _ply(shape: Shape, _: str) -> bytes:
    return ply(shape.finest.xyz, shape.finest.normal)


FORMATS = (
    Format("json", ".json", "application/json", "positions and normals of both stages", lambda s, _: write_json(s)),
    Format(
        "npz", ".npz", "application/x-npz", "NumPy: ijk int16, normals float16, voxel size, seed and version", _npz,
        ("application/vnd.numpy.npz",),
    ),
    Format(
        "ply", ".ply", "model/ply", "points with normals of the finest stage", _ply,
        ("application/x-ply", "application/ply"),
    ),
    Format(
        "glb", ".glb", "model/gltf-binary", "binary glTF: closed surface with normals",
        lambda s, v: glb(s.finest, _about(s, v)), surface=True,
    ),
    Format(
        "glb-points", ".glb", "model/gltf-binary; primitives=points", "binary glTF: points, coloured by their normals",
        lambda s, v: glb_points(s.finest, _about(s, v)),
    ),
    Format(
        "obj", ".obj", "model/obj", "Wavefront: closed surface with normals",
        lambda s, v: obj(s.finest, _about(s, v)), ("text/prs.wavefront-obj",), surface=True,
    ),
    Format(
        "stl", ".stl", "model/stl", "closed surface for 3-D printing", lambda s, _: stl(s.finest),
        ("application/sla", "application/vnd.ms-pki.stl"), surface=True,
    ),
    Format(
        "vox", ".vox", "model/x-vox", "MagicaVoxel: voxels of the finest stage", lambda s, _: vox(s.finest),
        ("application/x-vox",),
    ),
)  # fmt: skip
