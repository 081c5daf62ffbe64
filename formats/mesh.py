"""Files of a surface: GLB, and OBJ and STL, written by trimesh.

Functions import trimesh themselves: that takes more than a second, and most processes that import the formats, such as
those that hold models, never write a mesh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from formats.gltf import glb_file, linear
from formats.surface import Surface

if TYPE_CHECKING:
    from trimesh import Trimesh

_MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8}}


def glb(surface: Surface, colour: NDArray[np.uint8], about: dict[str, Any]) -> bytes:
    """A binary glTF of the surface with normals and colours; `about` becomes the extras of its asset.

    Args:
        surface: The surface, of V vertices.
        colour: Of each vertex, sRGB, [V, 3].
        about: What is told of it.
    """
    attributes = {
        "POSITION": surface.vertices.astype("<f4"),
        "NORMAL": surface.normals.astype("<f4"),
        "COLOR_0": linear(colour),
    }
    return glb_file("shape", about, attributes, surface.faces.astype("<u4").reshape(-1), _MATERIAL)


def obj(surface: Surface, about: dict[str, Any]) -> bytes:
    """A Wavefront OBJ of the surface with normals; `about` is its first comment."""
    from trimesh.exchange.obj import export_obj

    header = "xcube-serve " + ", ".join(f"{name} {value}" for name, value in about.items())
    text = export_obj(_mesh(surface), include_normals=True, include_color=False, digits=6, header=header)
    return str(text).encode()


def stl(surface: Surface) -> bytes:
    """A binary STL of the surface."""
    from trimesh.exchange.stl import export_stl

    return export_stl(_mesh(surface))


def _mesh(surface: Surface) -> Trimesh:
    from trimesh import Trimesh

    return Trimesh(surface.vertices, surface.faces, vertex_normals=surface.normals, process=False, validate=False)
